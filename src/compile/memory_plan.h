// SPDX-License-Identifier: MIT
// Where every value lives while a program runs.
#pragma once

#include <span>
#include <vector>

#include "ir/graph.h"
#include "runtime/backend.h"
#include "runtime/program.h"

namespace sotto {

struct PlannedMemory {
  MemoryPlan plan;                      // proven
  std::vector<ValueHome> homes;         // by value
  std::vector<size_t> scratch_offsets;  // by step
};

// Greedy by size, best fit: the largest item first, into the smallest hole
// among the items that live at the same time. Three relations: a kv_write's
// output must live in its state; a residual sum may live in the residual where
// that dies there; slices and reshapes are views. Proven before it is returned
// (MemoryPlan::Prove).
PlannedMemory PlanMemory(const ir::Graph& graph,
                         std::span<const std::unique_ptr<Step>> steps,
                         std::span<Backend* const> backends);

// Offsets for items whose bytes and life are set; fills offset and arena.
void PlaceItems(MemoryPlan* plan);

}  // namespace sotto
