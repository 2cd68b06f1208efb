// SPDX-License-Identifier: MIT
// Compile: a stage of a model, a profile and backends become a Program.
#pragma once

#include <memory>
#include <span>

#include "compile/passes.h"
#include "compile/profile.h"
#include "model/stages.h"
#include "model/weights.h"
#include "runtime/backend.h"
#include "runtime/program.h"

namespace sotto {

struct Compiled {
  ir::Graph graph;  // after all passes
  FusionReport fusion;
};

// All passes, no backend work: what the backends will see.
Compiled RunPasses(const ModelSpec& spec, Stage stage, const StageShape& shape,
                   const Profile& profile, std::span<Backend* const> backends);

// Passes, lowering, memory plan, proof. Throws kUnsupported with the backends'
// reasons where a node has no kernel, kBadInput where assert_clean finds a
// pattern unfused.
std::shared_ptr<const Program> Compile(const WeightStore& weights, Stage stage,
                                       const StageShape& shape,
                                       const Profile& profile,
                                       std::span<Backend* const> backends);

}  // namespace sotto
