// SPDX-License-Identifier: MIT
// Costs of the small vector kernels: hardware loops, software-pipelined.
#include "npu/kernels/costs_loops.h"

namespace sotto::npu {

Costs CostPassthrough(Ints ints) {
  // 64 bytes a trip: two loads and two stores of 256 bits.
  return {Loop(ints[0] / 64.0, "load and store", {.loads = 2, .stores = 2})};
}
Costs CostKeep(Ints ints) {
  Costs costs = {{.trips = 1, .scalar_ops = 2, .branches = 1, .what = "own?"}};
  if (ints[1] == ints[2] || ints[1] == ints[3])
    costs.push_back(CostPassthrough(ints)[0]);
  return costs;
}
Costs CostZero(Ints ints) {
  return {Loop(ints[0] / 64.0, "clear", {.stores = 2})};
}
Costs CostAddI8(Ints ints) {
  // 32 bytes a trip: two widenings, an add, the way out with saturation.
  return {Loop(ints[0] / 32.0, "saturating add",
               {.vector_ops = 4, .loads = 2, .stores = 1})};
}

// elementary.h, a vector of 16: a product to 16 bits is two splits (8) and
// three products; 2^y 16 and 5; 1 / x six such products and 40 more.
Costs CostExp(Ints ints) {
  return {Loop(ints[0] / 16.0, "exponential",
               {.vmul_bf16 = 3 + 5,
                .vector_ops = 2 + 2 + 4 + 16,
                .loads = 1,
                .stores = 1})};
}
Costs CostSigmoid(Ints ints) {
  return {Loop(ints[0] / 16.0, "sigmoid",
               {.vmul_bf16 = 8 + 24,
                .vector_ops = 24 + 2 + 66,
                .loads = 1,
                .stores = 1})};
}
Costs CostSilu(Ints ints) {
  return {Loop(ints[0] / 16.0, "silu",
               {.vmul_bf16 = 8 + 24 + 3,
                .vector_ops = 24 + 2 + 66 + 8,
                .loads = 1,
                .stores = 1})};
}
Costs CostTanh(Ints ints) {
  // The exponential, its quotient, and the series of four products.
  return {Loop(ints[0] / 16.0, "tanh",
               {.vmul_bf16 = 8 + 24 + 3 + 4 * 3,
                .vector_ops = 24 + 4 + 66 + 8 + 4 * 8 + 6,
                .loads = 1,
                .stores = 1})};
}
Costs CostRelu(Ints ints) {
  return {Loop(ints[0] / 16.0, "maximum with zero",
               {.vector_ops = 3, .loads = 1, .stores = 1})};
}
Costs CostAxpy(Ints ints) {
  return {Loop(ints[0] / 16.0, "a x + y",
               {.vmul_bf16 = 1, .vector_ops = 2, .loads = 2, .stores = 1})};
}
Costs CostNarrow(Ints ints) {
  return {Loop(ints[0] / 16.0, "narrow",
               {.vector_ops = 1, .loads = 2, .stores = 1})};
}
Costs CostTranspose(Ints ints) {
  // 8x8: eight loads and stores of 16 bytes, two shuffles of 64 bytes each way.
  return {Loop(static_cast<double>(ints[0]) * ints[1] / 64, "8x8 blocks",
               {.shuffles = 4, .loads = 8, .stores = 8})};
}
Costs CostGemmI16(Ints ints) {
  const double tiles = ints[0] / 8.0 * ints[2] / 8.0;
  return {{.trips = tiles * ints[1] / 4.0,
           .vmac_int8 = 4,  // a VMAC of 64 int16 products takes the same slot
           .loads = 4,
           .accumulators = 4,
           .what = "products"},
          {.trips = tiles, .loads = 8, .stores = 8, .what = "sums in and out"},
          {.trips = tiles, .chain = 7 + 5, .what = "fill and drain"}};
}
Costs CostMvBf16(Ints ints) {
  const double rows = ints[0];
  // One accumulator a row: dependent products, four cycles apart.
  return {{.trips = rows * ints[1] / 16.0,
           .vmac_bf16 = 1,
           .loads = 2,
           .accumulators = 1,
           .what = "products"},
          {.trips = rows,
           .vector_ops = 4,
           .shuffles = 4,
           .scalar_stores = 1,
           .chain = 7 + 6 + 4 * 3,
           .what = "sum of the lanes"}};
}
Costs CostMaxI32(Ints ints) {
  return {Loop(ints[0] / 16.0, "maximum", {.vector_ops = 1, .loads = 2}),
          {.trips = 1,
           .vector_ops = 4,
           .shuffles = 4,
           .scalar_stores = 1,
           .chain = 4 * 3,
           .what = "maximum of the lanes"}};
}

}  // namespace sotto::npu
