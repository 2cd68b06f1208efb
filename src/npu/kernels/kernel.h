// SPDX-License-Identifier: MIT
// What the rest of the NPU code knows of a kernel: how to call it on a
// simulated core, what it takes, and what it costs. The list is kernels.def.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace sotto::npu {

struct KernelArg {
  enum class Kind : uint8_t { kIn, kOut, kInOut, kInt };
  Kind kind = Kind::kIn;
  std::string_view type;  // "i8", "bf16", "f32", "i32"
  int64_t elements = 0;   // 0 for kInt, and where an int argument gives it
};

// One loop of a kernel as the core issues it; counts are per trip. The cost
// model (sim/cost.h) makes cycles of it: trips times the busiest slot, or the
// longest dependence.
struct LoopCost {
  double trips = 1;
  double vmac_int8 = 0;   // vector multiply-accumulates of 256 int8 products
  double vmac_int16 = 0;  // of 128 products of int16 and int8
  double vmac_bf16 = 0;   // of 128 bf16 products
  double vmul_bf16 = 0;   // element-wise, 16 lanes
  double vector_ops = 0;  // adds, compares, shifts, selects, conversions
  double shuffles = 0;    // vector permutes, broadcasts, extracts
  double narrows = 0;     // shift, round, saturate to a register: store slot
  double loads = 0;       // 256 bit
  double stores = 0;      // 256 bit
  double scalar_ops = 0;  // scalar add, compare, move, address
  double scalar_muls = 0;
  double scalar_loads = 0;
  double scalar_stores = 0;
  double soft_float = 0;  // emulated scalar float operations (no hardware)
  double divides = 0;     // emulated scalar integer divisions
  double lookups = 0;     // table lookups of 16 lanes
  // Independent accumulators in flight: the spacing of dependent multiplies
  // (int8 2, bf16 4 cycles) divides by it.
  int accumulators = 1;
  // Branches taken per trip where the loop is not a hardware loop.
  double branches = 0;
  // Cycles below which a trip cannot go where trips do not overlap because a
  // store may alias the next trip's load (load 7, multiply 2, add 1, store 1);
  // a branch comes on top.
  double chain = 0;
  std::string_view what;  // "inner product", "row maximum"
};

// The call as the simulator makes it. Pointers are into the simulated tile
// memory, in the order of the kernel's arguments; ints likewise.
struct KernelCall {
  std::span<std::byte* const> pointers;
  std::span<const int32_t> ints;
};

struct KernelInfo {
  std::string_view name;  // the C symbol on the device too
  std::span<const KernelArg> args;
  int frame_bytes = 0;  // deepest stack of the kernel and what it calls
  int code_bytes = 0;   // program memory, estimated from the loops
  // Its constant table in the tile's data memory. The linker keeps one of each
  // name, however many kernels of a core share it.
  std::string_view table;
  int data_bytes = 0;
  bool compat = false;  // reproduces a published kernel, faults included
  void (*call)(const KernelCall&) = nullptr;
  std::vector<LoopCost> (*cost)(std::span<const int32_t> ints) = nullptr;
};

std::span<const KernelInfo> Kernels();
// Null where there is none of that name.
const KernelInfo* FindKernel(std::string_view name);

}  // namespace sotto::npu
