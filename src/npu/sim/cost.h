// SPDX-License-Identifier: MIT
// Cycles of a kernel from its loops: trips times the busiest issue slot, or
// the spacing of dependent multiplies, or the branch; plus filling the
// pipeline once.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "npu/kernels/kernel.h"
#include "npu/sim/parameters.h"

namespace sotto::npu {

struct LoopCycles {
  double per_trip = 0;
  double fill = 0;         // prologue and epilogue, once
  double total = 0;        // trips * per_trip + fill
  std::string_view bound;  // what sets per_trip: "vector", "load", ...
};
LoopCycles CyclesOf(const LoopCost& loop, const CoreParameters& core);

// The whole call: its loops, the call and the return.
int64_t CyclesOf(const KernelInfo& kernel, std::span<const int32_t> ints,
                 const CoreParameters& core);

// Loads and stores that a call's loops issue, of whatever width.
double AccessesOf(const KernelInfo& kernel, std::span<const int32_t> ints,
                  const CoreParameters& core);

// Multiply-accumulates that a call's loops issue.
double MacsOf(const KernelInfo& kernel, std::span<const int32_t> ints);

}  // namespace sotto::npu
