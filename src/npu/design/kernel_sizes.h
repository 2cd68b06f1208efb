// SPDX-License-Identifier: MIT
// How many elements a kernel's pointers have where its ints say it, and what
// ints it takes: a kernel believes its caller, so somebody has to look.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <string_view>
#include <vector>

#include "npu/kernels/kernel.h"

namespace sotto::npu {

struct KernelInt {
  std::string_view name;
  int32_t usual = 0;  // for whoever says nothing
  int32_t least = std::numeric_limits<int32_t>::min();
  int32_t most = std::numeric_limits<int32_t>::max();
  int32_t multiple = 1;
};

// In the order of the kernel's arguments.
std::span<const KernelInt> IntsOf(const KernelInfo& kernel);

// `ints` with the usual ones where they end early. Throws kBadInput naming the
// int that the kernel cannot take, or that there are too many.
std::vector<int32_t> WholeInts(const KernelInfo& kernel,
                               std::span<const int32_t> ints);

// Of each pointer that the kernel leaves open, in order. ints: WholeInts'.
std::vector<int64_t> ElementsOf(const KernelInfo& kernel,
                                std::span<const int32_t> ints);

}  // namespace sotto::npu
