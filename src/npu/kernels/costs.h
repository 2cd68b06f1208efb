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

Costs ScalarSoftmax(int rows);
template <int kRows>
Costs CostSoftmaxScalar(Ints) {
  return ScalarSoftmax(kRows);
}
Costs ScalarLayerNorm(int n, int steps);
template <int kN, int kSteps>
Costs CostLayerNormScalar(Ints) {
  return ScalarLayerNorm(kN, kSteps);
}
Costs CostGeluScalar(Ints);
Costs CostMatmulBf16Scalar(Ints);
Costs CostMatmulBf16Vector(Ints);

// costs_gemm.cc
Costs CostGemmI8(Ints ints);
Costs CostGemmI16I8(Ints ints);
Costs CostGemmBf16(Ints ints);
Costs CostGemmTileI8(Ints);
Costs CostGemmTileI16I8(Ints);
Costs CostGemmTileBf16(Ints);
Costs CostFinishI8(Ints ints);
Costs CostFinishBf16(Ints ints);
Costs CostMatmulBf16(Ints);

// costs_flash.cc
Costs CostFlashScoresBf16(Ints ints);
Costs CostFlashScoresI8(Ints ints);
Costs CostFlashTileScoresBf16(Ints ints);
Costs CostFlashTileScoresI8(Ints ints);
Costs CostFlashValues(Ints ints);
Costs CostFlashTileValues(Ints);
Costs CostFlashFinish(Ints ints);
Costs CostFlashFinishI16(Ints ints);

// costs_rows.cc
Costs CostLayerNormBf16(Ints ints);
Costs CostLayerNormToI8(Ints ints);
Costs CostLayerNormStats(Ints ints);
Costs CostLayerNormApplyBf16(Ints ints);
Costs CostLayerNormApplyI8(Ints ints);
Costs CostLayerNormApply(Ints ints);
Costs CostSoftmax(Ints ints);
Costs CostGelu(Ints ints);
Costs CostAddBf16(Ints ints);
Costs CostQuantize(Ints ints);
Costs CostRequantize(Ints ints);
Costs CostGeluScaled(Ints ints);

// costs_plain.cc
Costs CostPassthrough(Ints ints);
Costs CostKeep(Ints ints);
Costs CostZero(Ints ints);
Costs CostAddI8(Ints ints);
Costs CostExp(Ints ints);
Costs CostTanh(Ints ints);
Costs CostSigmoid(Ints ints);
Costs CostSilu(Ints ints);
Costs CostRelu(Ints ints);
Costs CostAxpy(Ints ints);
Costs CostNarrow(Ints ints);
Costs CostTranspose(Ints ints);
Costs CostGemmI16(Ints ints);
Costs CostMvBf16(Ints ints);
Costs CostMaxI32(Ints ints);

}  // namespace sotto::npu
