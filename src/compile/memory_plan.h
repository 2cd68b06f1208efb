// SPDX-License-Identifier: MIT
// PlanMemory: where each value of a lowered stage lives.
//
// Lifetimes are counted in steps. Three relations between values:
//   view        slice, reshape: bytes within another value
//   must alias  kv_write: the result is the state
//   may alias   a linear's result over its residual, an elementwise result
//               over its operand, where that dies in the same step
// Values joined by them share one storage, whose life is the union. Inputs and
// outputs live in the session's named buffers, states in its states, the rest
// in the arena, placed greedily: largest first, each into the smallest gap
// that fits between the storages alive at the same time.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "runtime/backend.h"
#include "runtime/program.h"

namespace sotto {

struct PlannedMemory {
  MemoryPlan plan;
  std::vector<ValueHome> homes;         // by value
  std::vector<size_t> scratch_offsets;  // by step
};

struct PlanOptions {
  size_t alignment = 64;
  bool alias = true;  // may values share storage where they may alias?
};

// `backends` tell the size of states. The result has been proven. Throws
// kInternal where steps do not cover the graph.
PlannedMemory PlanMemory(const ir::Graph& graph,
                         std::span<const std::unique_ptr<Step>> steps,
                         std::span<Backend* const> backends,
                         const PlanOptions& options = {});

// The placing alone: sets offsets and `arena_bytes` from bytes and lifetimes.
void PlaceItems(MemoryPlan& plan, size_t alignment);

// The most bytes alive at any step: no plan can be smaller.
size_t LowerBound(const MemoryPlan& plan, size_t alignment);

}  // namespace sotto
