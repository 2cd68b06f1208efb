// SPDX-License-Identifier: MIT
// What the costs of the encoder's kernels (costs_gemm.cc, costs_flash.cc,
// costs_rows.cc) are counted with. A vector is 16 floats or bf16, or 32 int8.
// Loads and stores are of 32 bytes, so a vector of floats is two, of bf16 one.
// `chain` of an outer loop is what its inner loop cannot hide: a load before
// the first multiply (7) and the last multiply before the store (int8 5,
// bf16 6), aie2.md 1.4.
#pragma once

#include <string_view>

#include "npu/kernels/costs.h"

namespace sotto::npu {

inline constexpr double kInt8Edge = 7 + 5;
inline constexpr double kBf16Edge = 7 + 6;
// A result of a step through an accumulator is there after this many cycles at
// most.
inline constexpr double kStep = 5;

// a + b, field by field where counts add; trips, accumulators and the name are
// the first's.
constexpr LoopCost operator+(LoopCost a, const LoopCost& b) {
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
constexpr LoopCost Times(double n, LoopCost a) {
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
inline constexpr LoopCost kSplitTwo{
    .vector_ops = 1, .shuffles = 1, .narrows = 2};
inline constexpr LoopCost kSplitThree{
    .vector_ops = 2, .shuffles = 2, .narrows = 3};
inline constexpr LoopCost kMacTwo{.vmul_bf16 = 3};
inline constexpr LoopCost kMacThree{.vmul_bf16 = 6, .vector_ops = 1};
inline constexpr LoopCost kMulTwo = Times(2, kSplitTwo) + kMacTwo;
inline constexpr LoopCost kMulThree = Times(2, kSplitThree) + kMacThree;
// A product with a constant whose parts are at hand.
inline constexpr LoopCost kScaleTwo = kSplitTwo + kMacTwo;
// Two clamps, round, subtract twice; two splits; products 2 + 3; shift, add.
inline constexpr LoopCost kExp2{.vmul_bf16 = 5, .vector_ops = 5 + 8 + 1 + 2};
inline constexpr LoopCost kReciprocal =
    Times(4, kMulTwo) + Times(2, kMulThree) + LoopCost{.vector_ops = 4};
inline constexpr LoopCost kRoot =
    Times(10, kMulThree) + LoopCost{.vector_ops = 5};
// Absolute, widen, shift, subtract, two clamps, the positive part; narrow; one
// product. The table stands once (the parallel lookup wants four copies), so
// its 16 lanes go one by one: an index out, a load, a value in.
inline constexpr LoopCost kGelu{
    .vmul_bf16 = 1, .shuffles = 7 + 32, .narrows = 1, .scalar_loads = 16};
// Two clamps, subtract; add; half of a pack.
inline constexpr LoopCost kToInt8{
    .vector_ops = 1, .shuffles = 3, .narrows = 0.5};
inline constexpr LoopCost kStoreBf16{.stores = 1};
inline constexpr LoopCost kStoreInt8 = kToInt8 + LoopCost{.stores = 0.5};
// Low and high bits as two floats: and, shift, two magic adds, two subtracts,
// one add.
inline constexpr LoopCost kIntToFloat{.vector_ops = 7};

// Software-pipelined over independent vectors: four in flight.
inline LoopCost Loop(double trips, std::string_view what, LoopCost body) {
  body.trips = trips;
  body.what = what;
  body.accumulators = 4;
  return body;
}

// What an inner loop cannot hide each time it is entered.
inline LoopCost Edge(double times, double cycles) {
  return {.trips = times, .chain = cycles, .what = "fill and drain"};
}

}  // namespace sotto::npu
