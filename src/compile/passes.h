// SPDX-License-Identifier: MIT
// The passes, in the order in which the compiler runs them. Each is graph to
// graph; after the last one dtype, layout and backend stand on every node.
#pragma once

#include <span>
#include <string>

#include "compile/profile.h"
#include "ir/graph.h"
#include "runtime/backend.h"

namespace sotto {

// How often each fusion fired.
struct FusionReport {
  int qkv = 0;
  int cross_kv = 0;
  int activation = 0;
  int residual = 0;
  int left = 0;  // patterns that could have been fused and were not
  std::string ToString() const;
};

// fold.cc: removes casts that change nothing and nodes nobody reads.
ir::Graph FoldConstants(const ir::Graph& graph);
ir::Graph RemoveDead(const ir::Graph& graph);
// fuse.cc
ir::Graph Fuse(const ir::Graph& graph, const StageOptions& options,
               FusionReport* report);
// precision.cc: weight types, `out` attributes, casts of f32 inputs.
ir::Graph ApplyPrecision(const ir::Graph& graph, Precision precision);
// layout.cc: panels for matrices; query chunks.
ir::Graph ApplyLayout(const ir::Graph& graph, const StageOptions& options);
// place.cc: each node on the first backend that takes it. Throws kUnsupported
// with every backend's reason.
ir::Graph Place(const ir::Graph& graph, std::span<Backend* const> backends);

}  // namespace sotto
