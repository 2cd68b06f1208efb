// SPDX-License-Identifier: MIT
// Costs of the published scalar kernels. clang -O2 for AIE2 vectorises none of
// their loops. A counted loop without calls becomes a hardware loop and is
// software-pipelined (llvm-aie), so its branch costs nothing; one that calls a
// library routine (float, divide) takes its branch. Where a loop stores, the
// store may alias the next trip's loads (both are int8_t*), so trips do not
// overlap and `chain` adds up the latencies: load 7, multiply 2, add or compare
// 1, store 1.
#include "npu/kernels/costs.h"

namespace sotto::npu {
namespace {

// Each time an inner loop is entered: three moves set it up, then a load, a
// multiply and an add before the pipeline gives its first sum.
LoopCost Entered(double times) {
  return {.trips = times,
          .chain = 3 + 7 + 2 + 1,
          .what = "set-up, fill and drain of inner loops"};
}

// Two byte loads, a multiply, an add; no store, so trips overlap.
LoopCost MacLoop(double macs, std::string_view what) {
  return {.trips = macs,
          .scalar_ops = 1,
          .scalar_muls = 1,
          .scalar_loads = 2,
          .what = what};
}

}  // namespace

Costs ScalarAttention(int version, int n, int d) {
  const double scores = static_cast<double>(n) * n;
  const double outputs = static_cast<double>(n) * d;
  Costs costs;
  costs.push_back(MacLoop(scores * d, "inner products of Q and K"));
  // Shift, two compares of the clamp, the address, one store.
  costs.push_back({.trips = scores,
                   .scalar_ops = version == 3 ? 2.0 : 4.0,
                   .scalar_stores = 1,
                   .what = "shift and clamp of a score"});
  costs.push_back({.trips = scores,
                   .scalar_ops = 1,
                   .scalar_loads = 1,
                   .what = "row maximum"});
  // load, subtract, two clamps, then a square and a shift (v0), a choice of
  // three formulas with a division in one (v1), or a table (v2, v3); store.
  LoopCost exps{.trips = scores,
                .scalar_ops = 6,
                .scalar_loads = 1,
                .scalar_stores = 1,
                .chain = 7 + 3 + 1,
                .what = "weight of a score"};
  if (version <= 1) {
    exps.scalar_muls = 1;
    exps.scalar_ops += 3;
    exps.chain += 2 + 3;
  } else {
    exps.scalar_loads += 1;
    exps.chain += 7;
  }
  if (version == 1) {
    exps.branches = 2;
    exps.divides = 1.0 / 3;
  }
  costs.push_back(exps);
  // load, multiply, an emulated division, a compare, store.
  costs.push_back({.trips = scores,
                   .scalar_ops = 3,
                   .scalar_muls = 1,
                   .scalar_loads = 1,
                   .scalar_stores = 1,
                   .divides = 1,
                   .branches = 1,
                   .chain = 7 + 2 + 1 + 1,
                   .what = "division by the row's sum"});
  costs.push_back(MacLoop(outputs * n, "probabilities times V"));
  costs.push_back({.trips = outputs,
                   .scalar_ops = version == 0 ? 4.0 : 6.0,
                   .scalar_stores = 1,
                   .what = "shift and clamp of an output"});
  costs.push_back(Entered(scores + outputs));
  return costs;
}

Costs CostScores(Ints) {
  Costs costs;
  costs.push_back(MacLoop(64.0 * 64 * 64, "inner products of Q and K"));
  costs.push_back({.trips = 4096,
                   .scalar_ops = 4,
                   .scalar_stores = 1,
                   .what = "shift and clamp of a score"});
  return costs;
}

Costs CostAttention2Heads(Ints) {
  Costs costs = ScalarAttention(0, 64, 64);
  for (LoopCost& loop : costs) loop.trips *= 2;
  return costs;
}

Costs ScalarGeluI8(int n, bool bias) {
  // load, add 128, load of the table, store: one after the other.
  return {{.trips = static_cast<double>(n),
           .scalar_ops = bias ? 5.0 : 2.0,
           .scalar_loads = bias ? 3.0 : 2.0,
           .scalar_stores = 1,
           .chain = 7 + 1 + (bias ? 3.0 : 0.0) + 7 + 1,
           .what = "table lookup"}};
}
Costs CostGeluI8(Ints ints) { return ScalarGeluI8(ints[0], false); }
Costs CostGeluBiasI8(Ints ints) { return ScalarGeluI8(ints[0], true); }

Costs CostLayerNormI8(Ints) {
  return {{.trips = 256, .scalar_ops = 1, .scalar_loads = 1, .what = "sum"},
          {.trips = 256,
           .scalar_ops = 2,
           .scalar_muls = 1,
           .scalar_loads = 1,
           .what = "sum of squares"},
          // Newton from the variance, at most 2^14, down: about 10 steps.
          {.trips = 10,
           .scalar_ops = 3,
           .divides = 1,
           .branches = 1,
           .what = "square root"},
          // Three loads, two multiplies, two shifts, the clamp, store.
          {.trips = 256,
           .scalar_ops = 6,
           .scalar_muls = 2,
           .scalar_loads = 3,
           .scalar_stores = 1,
           .chain = 7 + 1 + 2 + 1 + 2 + 1 + 1 + 2 + 1,
           .what = "scale and clamp"}};
}

Costs ScalarMatmulI8(int m, int k, int n, bool requantize) {
  const double outputs = static_cast<double>(m) * n;
  Costs costs;
  // Adds into the 32-bit sums in memory: two byte loads, a load and a store of
  // the sum.
  costs.push_back(
      {.trips = outputs, .scalar_stores = 1, .what = "clear the sums"});
  costs.push_back({.trips = outputs * k,
                   .scalar_ops = 1,
                   .scalar_muls = 1,
                   .scalar_loads = 3,
                   .scalar_stores = 1,
                   .what = "products"});
  if (requantize) {
    costs.push_back({.trips = outputs,
                     .scalar_ops = 4,
                     .scalar_loads = 1,
                     .scalar_stores = 1,
                     .what = "shift and clamp"});
  }
  return costs;
}
Costs CostMatmulI8I32(Ints ints) {
  return ScalarMatmulI8(ints[0], ints[1], ints[2], false);
}
Costs CostRequantizeShift(Ints ints) {
  return {{.trips = static_cast<double>(ints[0]),
           .scalar_ops = 4,
           .scalar_loads = 1,
           .scalar_stores = 1,
           .chain = 7 + 3 + 1,
           .what = "shift and clamp"}};
}

// Soft-float: each addition, product, comparison or conversion is a call.
Costs ScalarSoftmax(int rows) {
  const double n = 1024.0 * rows;
  return {{.trips = n,
           .scalar_loads = 1,
           .soft_float = 1,  // compare
           .branches = 1,
           .what = "row maximum"},
          // x - max, * log2 e, to int, to float, y - n, three products and two
          // sums of the polynomial, product with 2^n, sum: 12.
          {.trips = n,
           .scalar_ops = 4,
           .scalar_loads = 1,
           .scalar_stores = 1,
           .soft_float = 12,
           .branches = 1,
           .what = "exponential"},
          {.trips = n,
           .scalar_ops = 2,
           .scalar_loads = 1,
           .scalar_stores = 1,
           .soft_float = 1,
           .branches = 1,
           .what = "times 1 / sum"}};
}

Costs ScalarLayerNorm(int n, int steps) {
  const double trips = n;
  return {{.trips = trips,
           .scalar_loads = 1,
           .soft_float = 1,
           .branches = 1,
           .what = "sum"},
          {.trips = trips,
           .scalar_loads = 1,
           .soft_float = 3,
           .branches = 1,
           .what = "sum of squares"},
          {.trips = static_cast<double>(steps),
           .scalar_ops = 2,
           .soft_float = 5,
           .what = "reciprocal root"},
          {.trips = trips,
           .scalar_ops = 2,
           .scalar_loads = 1,
           .scalar_stores = 1,
           .soft_float = 2,
           .branches = 1,
           .what = "normalise"}};
}

// x^3 0.044715 + x, times sqrt(2/pi): 5; tanh: 5 and a division, whose Newton
// steps (compiler-rt) are worth three products; 0.5 x (1 + t): 3.
Costs CostGeluScalar(Ints) {
  return {{.trips = 1024,
           .scalar_ops = 2,
           .scalar_loads = 1,
           .scalar_stores = 1,
           .soft_float = 16,
           .branches = 1,
           .what = "GELU"}};
}

Costs CostMatmulBf16Scalar(Ints) {
  return {{.trips = 64.0 * 64 * 64,
           .scalar_ops = 2,
           .scalar_loads = 2,
           .soft_float = 2,
           .branches = 1,
           .what = "products"},
          {.trips = 4096,
           .scalar_ops = 4,
           .scalar_stores = 1,
           .branches = 1,
           .what = "floor to bf16"}};
}

// Four rows: a load of B, four scalar loads and broadcasts of A, four
// multiply-accumulates of 16 lanes.
Costs CostMatmulBf16Vector(Ints) {
  return {{.trips = 16.0 * 4 * 64,
           .vmul_bf16 = 4,
           .shuffles = 4,
           .loads = 1,
           .scalar_loads = 4,
           .accumulators = 4,
           .what = "products"},
          {.trips = 16.0 * 4,
           .vector_ops = 4,
           .stores = 4,
           .chain = 13,
           .what = "floor to bf16"}};
}

}  // namespace sotto::npu
