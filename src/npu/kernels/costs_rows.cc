// SPDX-License-Identifier: MIT
// Costs of what goes by rows or elements, counted from rows.cc.
#include "npu/kernels/costs_loops.h"

namespace sotto::npu {
namespace {

// z = x / sigma - mean / sigma (3 products), split, times gamma plus beta.
LoopCost Apply(double vectors, const LoopCost& out) {
  return Loop(
      vectors, "normalise",
      LoopCost{.vmul_bf16 = 3, .loads = 1} + kSplitThree + kMacThree + out);
}
// gamma's parts, once for the two vectors of a block.
LoopCost Gammas(double blocks) {
  return Loop(blocks, "gamma and beta",
              kSplitThree + LoopCost{.shuffles = 2, .loads = 2});
}
// Sums over the lanes of four rows, mean, variance, its root and their product
// once for all four.
LoopCost RowConstants(double fours) {
  LoopCost out = Loop(
      fours, "1 / sigma",
      kRoot + Times(4, kMulThree) + LoopCost{.vector_ops = 6, .shuffles = 10});
  out.chain = 12 * (3 * 6 + 8);
  return out;
}
// 1 / sigma's parts for each half block.
LoopCost RowParts(double fours) {
  return Loop(fours, "constants of a row",
              Times(2, kSplitThree) + LoopCost{.loads = 8});
}

Costs LayerNormRows(Ints ints, const LoopCost& out) {
  const double rows = ints[0];
  const double width = ints[1];
  const double vectors = rows * width / 16;
  return {Loop(vectors, "sum", {.vector_ops = 2, .loads = 1}),
          Loop(vectors, "sum of squares",
               LoopCost{.vector_ops = 3, .loads = 1} + kSplitTwo + kMacTwo),
          RowConstants(rows / 4),
          RowParts(rows / 4),
          Gammas(rows / 4 * width / 8),
          Apply(vectors, out)};
}
Costs LayerNormApply(Ints ints, const LoopCost& out) {
  const double rows = ints[0];
  const double width = ints[1];
  LoopCost constants = RowParts(rows / 4);
  constants.chain = 7 + 8;
  return {constants, Gammas(rows / 4 * width / 8),
          Apply(rows * width / 16, out)};
}

}  // namespace

Costs CostLayerNormBf16(Ints ints) { return LayerNormRows(ints, kStoreBf16); }
Costs CostLayerNormToI8(Ints ints) { return LayerNormRows(ints, kStoreInt8); }
Costs CostLayerNormStats(Ints ints) {
  const double rows = ints[0];
  LoopCost sums = Loop(rows * ints[1] / 16.0, "sums and squares",
                       {.vmul_bf16 = 2, .loads = 1});
  LoopCost edge = Loop(rows / 4, "sums in and out", {.loads = 8, .stores = 8});
  edge.chain = kBf16Edge;
  Costs costs = {sums, edge};
  const bool last = ints[2] + 1 == ints[3];
  if (last) costs.push_back(RowConstants(rows / 4));
  return costs;
}
Costs CostLayerNormApplyBf16(Ints ints) {
  return LayerNormApply(ints, kStoreBf16);
}
Costs CostLayerNormApplyI8(Ints ints) {
  return LayerNormApply(ints, kStoreInt8);
}

Costs CostLayerNormApply(Ints ints) {
  Costs costs = LayerNormApply(ints, ints[2] != 0 ? kStoreInt8 : kStoreBf16);
  costs.back().scalar_ops += 1;
  return costs;
}

Costs CostSoftmax(Ints ints) {
  const double vectors = (ints[0] + 15) / 16;
  // Widen, compare with n, select; subtract, clamp, times log2 e, 2^y, compare,
  // select.
  const LoopCost logits{.vector_ops = 3, .loads = 1};
  const LoopCost weight =
      logits + LoopCost{.vector_ops = 4} + kScaleTwo + kExp2;
  LoopCost inverse = Loop(1, "1 / sum", kReciprocal);
  inverse.chain = 6 * (2 * 6 + 8) + 4 * 2 + 4;
  return {
      Loop(vectors, "row maximum", logits + LoopCost{.vector_ops = 1}),
      Loop(vectors, "sum of exponentials", weight + LoopCost{.vector_ops = 1}),
      inverse, Loop(vectors, "times 1 / sum", weight + kScaleTwo + kStoreBf16)};
}
Costs CostGelu(Ints ints) {
  return {Loop(ints[0] / 16.0, "GELU",
               kGelu + LoopCost{.vector_ops = 1, .loads = 1} + kStoreBf16)};
}
Costs CostAddBf16(Ints ints) {
  return {Loop(ints[0] / 16.0, "add",
               LoopCost{.vector_ops = 3, .loads = 2} + kStoreBf16)};
}
Costs CostQuantize(Ints ints) {
  return {Loop(ints[0] / 16.0, "scale and round",
               LoopCost{.vector_ops = 1, .loads = 1} + kScaleTwo + kStoreInt8)};
}
Costs CostRequantize(Ints ints) {
  return {Loop(ints[0] / 16.0, "scale and round",
               LoopCost{.loads = 2} + kIntToFloat + kScaleTwo + kStoreInt8)};
}
Costs CostGeluScaled(Ints ints) {
  return {Loop(ints[0] / 16.0, "GELU between scales",
               LoopCost{.vector_ops = 3, .loads = 0.5} + kScaleTwo + kGelu +
                   kScaleTwo + kStoreInt8)};
}

}  // namespace sotto::npu
