// SPDX-License-Identifier: MIT
#include "npu/sim/cost.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace sotto::npu {

LoopCycles CyclesOf(const LoopCost& loop, const CoreParameters& core) {
  LoopCycles out;
  const auto slot = [&out](double cycles, std::string_view what) {
    if (cycles > out.per_trip) {
      out.per_trip = cycles;
      out.bound = what;
    }
  };
  const double integers = loop.vmac_int8 + loop.vmac_int16;
  const double vectors =
      integers + loop.vmac_bf16 + loop.vmul_bf16 + loop.vector_ops;
  slot(vectors, "vector");
  slot(loop.shuffles, "move");
  slot((loop.loads + loop.scalar_loads + core.lookup_lanes * loop.lookups) /
           core.load_ports,
       "load");
  slot((loop.stores + loop.scalar_stores + loop.narrows) / core.store_ports,
       "store");
  slot(loop.scalar_ops + loop.scalar_muls, "scalar");
  const double accumulators = std::max(loop.accumulators, 1);
  slot((integers * core.int8_spacing + loop.vmac_bf16 * core.bf16_spacing) /
           accumulators,
       "accumulator");
  slot(loop.chain, "chain");
  // A taken branch overlaps with nothing, nor do calls of the float and divide
  // routines: the core is in order.
  out.per_trip += loop.branches * core.branch_cycles;
  const double called = loop.soft_float * core.soft_float_cycles +
                        loop.divides * core.divide_cycles;
  if (called > out.per_trip) out.bound = "library";
  out.per_trip += called;

  if (loop.loads + loop.scalar_loads + loop.lookups > 0) {
    out.fill += core.load_latency;
  }
  if (loop.vmac_bf16 + loop.vmul_bf16 > 0) {
    out.fill += core.bf16_latency;
  } else if (integers > 0) {
    out.fill += core.int8_latency;
  }
  if (loop.shuffles > 0) out.fill += core.shuffle_latency;
  if (loop.scalar_muls > 0) out.fill += core.scalar_mul_latency;
  if (loop.stores + loop.scalar_stores > 0) out.fill += core.store_latency;
  out.total = loop.trips * out.per_trip + out.fill;
  return out;
}

int64_t CyclesOf(const KernelInfo& kernel, std::span<const int32_t> ints,
                 const CoreParameters& core) {
  // Call and return, and a move for each argument.
  double cycles =
      2 * core.branch_cycles + static_cast<double>(kernel.args.size());
  if (kernel.cost != nullptr) {
    for (const LoopCost& loop : kernel.cost(ints)) {
      cycles += CyclesOf(loop, core).total;
    }
  }
  return static_cast<int64_t>(std::ceil(cycles));
}

double AccessesOf(const KernelInfo& kernel, std::span<const int32_t> ints,
                  const CoreParameters& core) {
  if (kernel.cost == nullptr) return 0;
  double accesses = 0;
  for (const LoopCost& loop : kernel.cost(ints)) {
    accesses +=
        loop.trips * (loop.loads + loop.stores + loop.scalar_loads +
                      loop.scalar_stores + core.lookup_lanes * loop.lookups);
  }
  return accesses;
}

double MacsOf(const KernelInfo& kernel, std::span<const int32_t> ints) {
  if (kernel.cost == nullptr) return 0;
  double macs = 0;
  for (const LoopCost& loop : kernel.cost(ints)) {
    macs += loop.trips *
            (256 * loop.vmac_int8 + 128 * (loop.vmac_int16 + loop.vmac_bf16));
  }
  return macs;
}

}  // namespace sotto::npu
