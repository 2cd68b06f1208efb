// SPDX-License-Identifier: MIT
// Costs of products and their epilogues, counted from gemm.cc and gemm_tile.cc.
#include <cmath>

#include "npu/kernels/costs_loops.h"
#include "npu/kernels/device.h"

namespace sotto::npu {
namespace {

// finish_i8. A vector is 32 int16, or 16 floats; slots as in llvm-aie's
// AIE2GenFixupInstrInfo.td: multiplies and sums of accumulators in the
// vector's, sums, minima and maxima of int16, shuffles, moves and shifts left
// in the move's, shift-round-saturate in the store's, of which it is a part
// where what it gives is stored.
//
// A column's eight channels over four rows: two copies of 128 bits.
constexpr LoopCost kSpread{.shuffles = 2};
// int32, too, moved to an accumulator.
constexpr LoopCost kSpreadSums{.shuffles = 3, .loads = 1};
// Sums to v, v to a product; half of the loads go by the vector registers.
constexpr LoopCost kScaleSums{
    .vector_ops = 1, .shuffles = 1, .narrows = 1, .loads = 4};

Costs NarrowCost(double columns, double blocks) {
  LoopCost constants = kSpreadSums + kSpread;
  constants.trips = columns;
  constants.loads += 1;
  constants.scalar_loads = 2;
  constants.chain = 7 + 4 + 7 + 2 * kStep + 1;
  constants.what = "a column's constants, fill and drain";
  LoopCost body =
      Loop(blocks, "scale and narrow", kScaleSums + LoopCost{.stores = 1});
  // Two would do; five trips in flight instead of ten are half the program.
  body.chain = 4;
  return {body, constants};
}

// Eight blocks after each other: seven products and their ways back, between
// them a minimum and a sum of two cycles each, then as GELU's last product.
Costs GeluCost(double columns, double rows, int mode) {
  Costs costs = NarrowCost(columns, columns * rows);
  costs[0].what = "scale to GELU's steps";
  costs[0].stores = 4;
  costs[1] = costs[1] + kSpread + kSpread + LoopCost{.loads = 1};
  costs[1].shuffles += 1;
  costs[1].scalar_loads += 3;
  LoopCost tails{.trips = columns * std::ceil(rows / 8),
                 .vector_ops = 7,
                 .shuffles = 4 + 3,
                 .narrows = 7,
                 .loads = 4,
                 .what = "GELU of eight blocks"};
  if ((mode & kFinishInt8) != 0)
    tails = tails + LoopCost{.vector_ops = 1, .stores = 1};
  else if ((mode & kFinishInt16) != 0)  // two bounds, two halves
    tails = tails +
            LoopCost{.vector_ops = 1, .shuffles = 3, .narrows = 1, .stores = 2};
  else
    tails = tails + LoopCost{.shuffles = 3, .stores = 4};
  tails = Times(8, tails);
  tails.chain = 7 + 4 + 7 * 2 * kStep + 4 + kStep + 1 + 7;
  tails.branches = 1;
  costs.push_back(tails);
  return costs;
}

// Of two vectors: int32 by int16 is two products of halves, then back to int32,
// moved to an accumulator as a float, 1.5 2^23 taken away, the residual times
// 1 added, stored as bf16.
Costs WidenCost(double columns, double blocks, bool residual) {
  LoopCost body{
      .vector_ops = 6, .shuffles = 6, .narrows = 2, .loads = 4, .stores = 2};
  if (residual) body = body + LoopCost{.vector_ops = 2, .loads = 2};
  LoopCost constants = kSpreadSums + kSpread;
  constants.trips = columns;
  constants.shuffles += 3;
  constants.loads += 1;
  constants.scalar_loads = 2;
  constants.chain = 7 + 4 + 7 + 2 + 3 * kStep + 2 + 6 + 6;
  constants.what = "a column's constants, fill and drain";
  return {Loop(blocks, "to float, add and narrow", body), constants};
}

Costs FinishBf16(double m, double n, int mode) {
  LoopCost body{.vector_ops = 1, .shuffles = 1, .loads = 2};  // bias, zip
  if ((mode & kFinishGelu) != 0) body = body + kGelu;
  if ((mode & kFinishResidual) != 0)
    body = body + LoopCost{.vector_ops = 1, .loads = 1};
  body = body + LoopCost{.stores = 1};
  body.scalar_ops = 1;  // a compare and branch a block: the mode
  LoopCost columns =
      Loop(n / 8, "a column's constants", LoopCost{.shuffles = 2, .loads = 2});
  columns.chain = 7 + 6 + kBf16Edge;
  return {Loop(m * n / 16, "add and narrow", body), columns};
}

}  // namespace

// gemm.cc, 8 x 32 sums at a time; `products`: of `k` of K. The sums go out in
// the stretch of the last products; the next tile's come in.
namespace {
Costs Gemm(Ints ints, int k, LoopCost products, double edge) {
  constexpr double kSums = 32;  // loads or stores
  const double tiles = ints[0] / 8.0 * ints[2] / 32.0;
  products.what = "products";
  LoopCost last = products;
  products.trips = tiles * (ints[1] / static_cast<double>(k) - 1);
  last.trips = tiles;
  last.loads += ints[3] == 0 ? 0.0 : kSums;
  last.stores = kSums;
  last.what = "sums in and out";
  return {products, last, Edge(tiles, edge)};
}
}  // namespace
Costs CostGemmI8(Ints ints) {
  return Gemm(ints, 8, {.vmac_int8 = 8, .loads = 10, .accumulators = 8},
              kInt8Edge);
}
Costs CostGemmI16I8(Ints ints) {
  return Gemm(ints, 4, {.vmac_int16 = 8, .loads = 6, .accumulators = 8},
              kInt8Edge);
}
Costs CostGemmBf16(Ints ints) {
  return Gemm(ints, 8, {.vmac_bf16 = 16, .loads = 20, .accumulators = 16},
              kBf16Edge);
}

// gemm_tile.cc, a block of sums a trip: 64 cycles of nothing but multiplies, in
// whose shadow the block before goes and the block after comes. The first one
// comes and the last one goes by themselves. Slots of a trip:
//              vector   load                     store   accumulators
//   int8       64       16 (2 + 4), sums 16      16      4 in use, 4 to come
//   int16      64       16 (2 + 2), sums 16      16      4, 4
//   bf16       64       8 (4 + 8), sums 16       16      8 halves, 8
// Sums come by one of both load ports (VLDA of an accumulator), operands by
// either. int32 of a block: 2 x 2 of 4 x 8, f32: 2 x 4 of 4 x 4.
namespace {
Costs GemmTile(LoopCost products) {
  constexpr double kSums = 16;  // loads or stores
  products.trips = 32;
  products.loads += kSums;
  products.stores = kSums;
  products.what = "a block's products, sums in and out";
  return {products, Edge(1, 2 * kSums)};
}
}  // namespace
Costs CostGemmTileI8(Ints) {
  return GemmTile({.vmac_int8 = 64, .loads = 16 * 6, .accumulators = 4});
}
Costs CostGemmTileI16I8(Ints) {
  return GemmTile({.vmac_int16 = 64, .loads = 16 * 4, .accumulators = 4});
}
Costs CostGemmTileBf16(Ints) {
  return GemmTile({.vmac_bf16 = 64, .loads = 8 * 12, .accumulators = 8});
}

Costs CostFinishI8(Ints ints) {
  const double rows = ints[0] / 4.0;
  const double columns = ints[1] / 8.0;
  const int mode = ints[2];
  const bool narrow = (mode & (kFinishInt8 | kFinishInt16)) != 0;
  Costs costs;
  const auto add = [&costs](const Costs& more) {
    costs.insert(costs.end(), more.begin(), more.end());
  };
  if ((mode & kFinishGelu) != 0) {
    add(GeluCost(columns, rows, mode));
  } else if (narrow) {
    add(NarrowCost(columns, columns * rows));
  }
  if (!narrow)
    add(WidenCost(columns, columns * rows, (mode & kFinishResidual) != 0));
  // Which of them, and the loop over columns.
  costs.push_back(
      {.trips = columns, .scalar_ops = 7, .branches = 3, .what = "columns"});
  return costs;
}
Costs CostFinishBf16(Ints ints) {
  return FinishBf16(ints[0], ints[1], ints[2]);
}
Costs CostMatmulBf16(Ints) {
  const int32_t shape[] = {64, 64, 64, 0};
  Costs costs = CostGemmBf16(shape);
  costs.push_back(Loop(4096 / 16.0, "narrow",
                       LoopCost{.shuffles = 1, .loads = 2} + kStoreBf16));
  return costs;
}

}  // namespace sotto::npu
