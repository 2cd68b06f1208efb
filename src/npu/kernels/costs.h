// SPDX-License-Identifier: MIT
// What each kernel costs, loop by loop, counted from its source. No count is
// fitted to a published cycle number; the simulator prints how far off they
// are.
#pragma once

#include <span>
#include <vector>

#include "npu/kernels/kernel.h"

namespace sotto::npu {

using Ints = std::span<const int32_t>;
using Costs = std::vector<LoopCost>;

// costs_compat.cc: scalar loops as clang -O2 leaves them.
Costs ScalarAttention(int version, int n, int d);
template <int kVersion, int kN, int kD>
Costs CostAttention(Ints) {
  return ScalarAttention(kVersion, kN, kD);
}
Costs CostScores(Ints);
Costs CostAttention2Heads(Ints);
Costs ScalarGeluI8(int n, bool bias);
Costs CostGeluI8(Ints ints);
template <int kN>
Costs CostGeluI8Of(Ints) {
  return ScalarGeluI8(kN, false);
}
Costs CostGeluBiasI8(Ints ints);
Costs CostLayerNormI8(Ints);
Costs ScalarMatmulI8(int m, int k, int n, bool requantize);
template <int kN>
Costs CostMatmulI8(Ints) {
  return ScalarMatmulI8(kN, kN, kN, true);
}
Costs CostMatmulI8I32(Ints ints);
Costs CostRequantizeShift(Ints ints);

// costs_plain.cc
Costs CostPassthrough(Ints ints);
Costs CostAddI8(Ints ints);

}  // namespace sotto::npu
