// SPDX-License-Identifier: MIT
// Costs of attention, counted from flash.cc and flash_values.cc.
#include "npu/kernels/costs_loops.h"

namespace sotto::npu {
namespace {

// Share of 16-row blocks where a reference moves at a block of keys but the
// first, at most, measured (attention_test.cc prints it).
inline constexpr double kFlashMoveShare = 0.001;

// flash.cc and flash_values.cc: slots as for finish_i8, so maxima, shuffles and
// ands go beside multiplies, sums of accumulators do not, and whatever is
// narrowed or stored takes the store's slot.
//
// What has a shape: 16 rows by 8 keys, `blocks` of them. Of bf16 behind the
// products eight halves to numbers (VADD.F), four bases (VADD); int8's bases
// come as its first products' sums, free of charge but for their loads. Then
// narrow, for bf16 a shuffle, maximum, store.
//
// Slots of a trip where d is known, so that the loop is one over blocks:
//          vector            load                       move        store
//   bf16   64 + 8 + 4 = 76   8 (8 + 4) + 16 = 112 / 2   16 + 4 + 4  4 + 8
//   int8   32                8 (4 + 2) + 16 = 64 / 2    16 + 4      4 + 8
// Accumulators: 4 with products, 4 with bases, for bf16 half of one for 1.5
// 2^15. Entered once a pass over all rows: what the first block waits for and
// the last one leaves behind is `edge`.
struct ScoresShape {
  LoopCost products;  // of eight of d
  LoopCost rest;      // behind them, with the bases' loads
  double edge;
};
ScoresShape ScoresOfBf16() {
  return {{.vmac_bf16 = 8, .shuffles = 2, .loads = 12, .accumulators = 8},
          {.vector_ops = 8 + 4,
           .shuffles = 4 + 4,
           .narrows = 4,
           .loads = 16,
           .stores = 8,
           .scalar_ops = 6},
          7 + 2 + 6 + 6 + 2 * kStep + 2 + 1};
}
ScoresShape ScoresOfInt8() {
  return {
      {.vmac_int8 = 4, .shuffles = 2, .loads = 6, .accumulators = 4},
      {.shuffles = 4, .narrows = 4, .loads = 16, .stores = 8, .scalar_ops = 6},
      7 + 2 * 2 + 2 * kStep + 2 + 1};
}
// `entries`: how often the loop over blocks is begun.
Costs Scores(const ScoresShape& shape, double blocks, double entries, double d,
             bool known) {
  if (known) {
    LoopCost whole = Times(d / 8, shape.products) + shape.rest;
    whole.trips = blocks;
    whole.what = "scores and their maximum";
    return {whole, Edge(entries, shape.edge)};
  }
  LoopCost products = shape.products;
  products.trips = blocks * d / 8;
  products.what = "Q times K";
  LoopCost rest = shape.rest;
  rest.trips = blocks;
  rest.what = "scores and their maximum";
  return {products, rest, Edge(blocks, shape.edge)};
}

// 2^score of 32: an and, three products of 16 bits, two ways out of an
// accumulator, a product with ones for the sum of its row. A row's blocks are
// one trip where they are known.
Costs ProbabilitiesOf(double rows, double keys, bool known) {
  LoopCost one{.vmac_bf16 = 1,
               .vmul_bf16 = 3,
               .shuffles = 1,
               .narrows = 2,
               .loads = 2,
               .stores = 2};
  constexpr LoopCost kSums{.loads = 2, .stores = 2};
  // Five of the six wait for each other.
  constexpr double kChain = 2 * 5 + 2 * 2 + 1;
  if (!known) {
    LoopCost sums = kSums;
    sums.chain = kBf16Edge + kChain;
    one = Loop(rows / 4 * keys / 8, "probabilities", one);
    sums.trips = rows / 4;
    sums.what = "sums in and out";
    return {one, sums};
  }
  LoopCost row = Times(keys / 8, one) + kSums;
  row.trips = rows / 4;
  row.what = "probabilities and their sums";
  return {row, Edge(1, kChain)};
}

struct FlashShape {
  double rows, keys, d;
  int block, valid;
  bool known;  // all but block and valid
};
Costs FlashScores(const FlashShape& s, const ScoresShape& shape) {
  const bool first = s.block == 0;
  const double blocks = s.rows / 16 * s.keys / 8;
  // The first block sets every reference by a pass of its own, of 16 keys and
  // 16 rows at a time. Later ones move hardly any (docs/npu-kernels.md); those
  // take two passes more.
  const double moved = first ? 1.0 : kFlashMoveShare * s.rows / 16;
  const double whole = first ? s.rows / 16 * 2 : moved * blocks;
  const double passes = first ? 1.0 : 1.0 + moved;
  Costs costs = Scores(shape, passes * blocks + whole,
                       passes + moved * s.rows / 16, s.d, s.known);
  if (s.valid < (s.block + 1) * s.keys)
    costs.push_back(
        Loop((passes + moved) * s.rows / 4 * s.keys / 8, "keys behind the end",
             {.vector_ops = 3, .shuffles = 1, .loads = 2, .stores = 2}));
  // The maximum of the lanes' maxima, compare; two branches.
  costs.push_back({.trips = passes,
                   .vector_ops = 4,
                   .scalar_ops = 4,
                   .branches = 2,
                   .chain = 7 + 4 * 2 + 4 + 6,
                   .what = "reference"});
  // Fold a maximum over eight lanes; base, compare, the power of two.
  LoopCost fold =
      Loop(moved * s.rows / 4, "new reference",
           {.vector_ops = 13, .shuffles = 10, .loads = 4, .stores = 4});
  fold.branches = 1;
  fold.chain = 7 + 8 * 2 + 12;
  costs.push_back(fold);
  if (!first)
    costs.push_back(Loop(moved * s.rows / 4 * (s.d / 4 + 1), "rescale",
                         {.vector_ops = 5, .loads = 2, .stores = 2}));
  for (const LoopCost& loop : ProbabilitiesOf(s.rows, s.keys, s.known))
    costs.push_back(loop);
  return costs;
}

// 16 rows by 8 columns of the output. Where keys are known the loop is one over
// these: 64 multiplies (vector), 8 (8 + 4) + 16 loads, 16 stores, 16 shuffles a
// trip; 4 accumulators in use, 4 to come.
Costs FlashValues(double rows, double keys, double d, bool known) {
  const double blocks = rows / 16 * d / 8;
  LoopCost products{
      .vmac_bf16 = 8, .shuffles = 2, .loads = 12, .accumulators = 8};
  LoopCost sums{.loads = 16, .stores = 16, .scalar_ops = 6};
  if (known) {
    LoopCost whole = Times(keys / 8, products) + sums;
    whole.trips = blocks;
    whole.what = "probabilities times V, output in and out";
    return {whole, Edge(1, 2 * 16)};
  }
  products.trips = blocks * keys / 8;
  products.what = "probabilities times V";
  sums.trips = blocks;
  sums.what = "output in and out";
  return {products, sums, Edge(blocks, kBf16Edge)};
}

Costs FlashFinish(Ints ints, const LoopCost& out) {
  const double rows = ints[0];
  const double d = ints[1];
  LoopCost inverse =
      Loop(rows / 4, "1 / sum",
           Times(6, kMulTwo) + LoopCost{.vector_ops = 4} + kSplitTwo);
  inverse.loads = 2;
  // Three steps of Newton, each two products after each other.
  inverse.chain = 6 * (2 * 6 + 8);
  return {inverse, Loop(rows * d / 16, "times 1 / sum",
                        kScaleTwo + LoopCost{.shuffles = 1, .loads = 2} + out)};
}

FlashShape ShapeOf(Ints ints) {
  return {double(ints[0]), double(ints[1]), double(ints[2]),
          ints[3],         ints[4],         false};
}
constexpr FlashShape kFlashTile{64, 64, 64, 0, 0, true};
FlashShape TileOf(Ints ints) {
  FlashShape shape = kFlashTile;
  shape.block = ints[0];
  shape.valid = ints[1];
  return shape;
}

}  // namespace

Costs CostFlashScoresBf16(Ints ints) {
  return FlashScores(ShapeOf(ints), ScoresOfBf16());
}
Costs CostFlashScoresI8(Ints ints) {
  return FlashScores(ShapeOf(ints), ScoresOfInt8());
}
Costs CostFlashTileScoresBf16(Ints ints) {
  return FlashScores(TileOf(ints), ScoresOfBf16());
}
Costs CostFlashTileScoresI8(Ints ints) {
  return FlashScores(TileOf(ints), ScoresOfInt8());
}
Costs CostFlashValues(Ints ints) {
  return FlashValues(ints[0], ints[1], ints[2], false);
}
Costs CostFlashTileValues(Ints) { return FlashValues(64, 64, 64, true); }
Costs CostFlashFinish(Ints ints) { return FlashFinish(ints, kStoreBf16); }
Costs CostFlashFinishI16(Ints ints) {
  return FlashFinish(ints, kToInt8 + LoopCost{.stores = 1});
}

}  // namespace sotto::npu
