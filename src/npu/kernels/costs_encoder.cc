// SPDX-License-Identifier: MIT
// Costs of the encoder's kernels, counted from gemm.cc, flash.cc and rows.cc. A
// vector is 16 floats or bf16, or 32 int8. Loads and stores are of 32 bytes, so
// a vector of floats is two, of bf16 one. `chain` of an outer loop is what its
// inner loop cannot hide: a load before the first multiply (7) and the last
// multiply before the store (int8 5, bf16 6), aie2.md 1.4.
#include <cmath>

#include "npu/kernels/costs.h"
#include "npu/kernels/device.h"

namespace sotto::npu {
namespace {

inline constexpr double kInt8Edge = 7 + 5;
inline constexpr double kBf16Edge = 7 + 6;
// Share of 16-row blocks where a reference moves at a block of keys but the
// first, at most, measured (attention_test.cc prints it).
inline constexpr double kFlashMoveShare = 0.001;

// a + b, field by field where counts add; trips, accumulators and the name are
// the first's.
LoopCost operator+(LoopCost a, const LoopCost& b) {
  a.vmac_int8 += b.vmac_int8;
  a.vmac_bf16 += b.vmac_bf16;
  a.vmul_bf16 += b.vmul_bf16;
  a.vector_ops += b.vector_ops;
  a.shuffles += b.shuffles;
  a.narrows += b.narrows;
  a.loads += b.loads;
  a.stores += b.stores;
  a.scalar_ops += b.scalar_ops;
  a.scalar_loads += b.scalar_loads;
  return a;
}
LoopCost Times(double n, LoopCost a) {
  LoopCost out = a;
  for (double LoopCost::*field :
       {&LoopCost::vmac_int8, &LoopCost::vmac_bf16, &LoopCost::vmul_bf16,
        &LoopCost::vector_ops, &LoopCost::shuffles, &LoopCost::narrows,
        &LoopCost::loads, &LoopCost::stores, &LoopCost::scalar_ops,
        &LoopCost::scalar_loads}) {
    out.*field *= n;
  }
  return out;
}

// elementary.h, one vector each, in the slots of llvm-aie's
// AIE2GenFixupInstrInfo.td. Products and sums of floats are the vector's.
// Narrowing to bf16 is the store's (VCONV.bf16.fp32), or part of it where it is
// stored; widening the move's (VCONV.fp32.bf16), or part of a load; so are
// ands, sums, minima and maxima of words and whatever goes from lane to lane.
constexpr LoopCost kSplitTwo{.vector_ops = 1, .shuffles = 1, .narrows = 2};
constexpr LoopCost kSplitThree{.vector_ops = 2, .shuffles = 2, .narrows = 3};
constexpr LoopCost kMacTwo{.vmul_bf16 = 3};
constexpr LoopCost kMacThree{.vmul_bf16 = 6, .vector_ops = 1};
const LoopCost kMulTwo = Times(2, kSplitTwo) + kMacTwo;
const LoopCost kMulThree = Times(2, kSplitThree) + kMacThree;
// A product with a constant whose parts are at hand.
const LoopCost kScaleTwo = kSplitTwo + kMacTwo;
// Two clamps, round, subtract twice; two splits; products 2 + 3; shift, add.
constexpr LoopCost kExp2{.vmul_bf16 = 5, .vector_ops = 5 + 8 + 1 + 2};
// round, subtract twice, narrow twice, shift, add.
constexpr LoopCost kProbability{.vmul_bf16 = 2, .vector_ops = 7};
const LoopCost kReciprocal =
    Times(4, kMulTwo) + Times(2, kMulThree) + LoopCost{.vector_ops = 4};
const LoopCost kRoot = Times(10, kMulThree) + LoopCost{.vector_ops = 5};
// Absolute, widen, shift, subtract, two clamps, the positive part; narrow; one
// product. The table stands once (the parallel lookup wants four copies), so
// its 16 lanes go one by one: an index out, a load, a value in.
constexpr LoopCost kGelu{
    .vmul_bf16 = 1, .shuffles = 7 + 32, .narrows = 1, .scalar_loads = 16};
// Two clamps, subtract; add; half of a pack.
constexpr LoopCost kToInt8{.vector_ops = 1, .shuffles = 3, .narrows = 0.5};
// Low and high bits as two floats: and, shift, two magic adds, two subtracts,
// one add.
constexpr LoopCost kIntToFloat{.vector_ops = 7};

// Software-pipelined over independent vectors: four in flight.
LoopCost Loop(double trips, std::string_view what, LoopCost body) {
  body.trips = trips;
  body.what = what;
  body.accumulators = 4;
  return body;
}

// What an inner loop cannot hide each time it is entered.
LoopCost Edge(double times, double cycles) {
  return {.trips = times, .chain = cycles, .what = "fill and drain"};
}

// finish_i8. A vector is 32 int16, or 16 floats; slots as in llvm-aie's
// AIE2GenFixupInstrInfo.td: multiplies and sums of accumulators in the
// vector's, sums, minima and maxima of int16, shuffles, moves and shifts left
// in the move's, shift-round-saturate in the store's, of which it is a part
// where what it gives is stored. A result is there after kStep cycles at most.
inline constexpr double kStep = 5;
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

const LoopCost kStoreBf16{.stores = 1};
const LoopCost kStoreInt8 = kToInt8 + LoopCost{.stores = 0.5};

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

// The sums go out in the stretch of the last products; the next tile's come in.
Costs CostGemmI8(Ints ints) {
  const double tiles = ints[0] / 8.0 * ints[2] / 32.0;
  return {{.trips = tiles * (ints[1] / 8.0 - 1),
           .vmac_int8 = 8,
           .loads = 10,
           .accumulators = 8,
           .what = "products"},
          {.trips = tiles,
           .vmac_int8 = 8,
           .loads = 10 + (ints[3] == 0 ? 0.0 : 32.0),
           .stores = 32,
           .accumulators = 8,
           .what = "sums in and out"},
          Edge(tiles, kInt8Edge)};
}
Costs CostGemmI16I8(Ints ints) {
  const double tiles = ints[0] / 8.0 * ints[2] / 32.0;
  return {{.trips = tiles * (ints[1] / 4.0 - 1),
           .vmac_int16 = 8,
           .loads = 6,
           .accumulators = 8,
           .what = "products"},
          {.trips = tiles,
           .vmac_int16 = 8,
           .loads = 6 + (ints[3] == 0 ? 0.0 : 32.0),
           .stores = 32,
           .accumulators = 8,
           .what = "sums in and out"},
          Edge(tiles, kInt8Edge)};
}
Costs CostGemmBf16(Ints ints) {
  const double tiles = ints[0] / 8.0 * ints[2] / 32.0;
  return {{.trips = tiles * (ints[1] / 8.0 - 1),
           .vmac_bf16 = 16,
           .loads = 20,
           .accumulators = 16,
           .what = "products"},
          {.trips = tiles,
           .vmac_bf16 = 16,
           .loads = 20 + (ints[3] == 0 ? 0.0 : 32.0),
           .stores = 32,
           .accumulators = 16,
           .what = "sums in and out"},
          Edge(tiles, kBf16Edge)};
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

namespace {
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
