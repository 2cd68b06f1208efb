// SPDX-License-Identifier: MIT
// Costs of the small vector kernels: hardware loops, software-pipelined.
#include "npu/kernels/costs.h"

namespace sotto::npu {

Costs CostPassthrough(Ints ints) {
  // 64 bytes a trip: two loads and two stores of 256 bits.
  return {{.trips = ints[0] / 64.0,
           .loads = 2,
           .stores = 2,
           .what = "load and store"}};
}

Costs CostAddI8(Ints ints) {
  // 32 bytes a trip: two loads, two widenings into the accumulator, an add, the
  // way out with saturation, a store.
  return {{.trips = ints[0] / 32.0,
           .vector_ops = 4,
           .loads = 2,
           .stores = 1,
           .what = "saturating add"}};
}

}  // namespace sotto::npu
