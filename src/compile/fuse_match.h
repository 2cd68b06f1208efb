// SPDX-License-Identifier: MIT
// The patterns of the fuse pass. A match names nodes of the graph it was found
// in; Fuse applies it.
#pragma once

#include <vector>

#include "compile/rewrite.h"
#include "ir/graph.h"

namespace sotto {

// Linears over the same x that become one: their outputs, in the order of the
// stacked rows.
struct StackMatch {
  std::vector<ir::NodeId> linears;
};

// q, k and v of one attention, or of one cached attention behind its writes.
std::vector<StackMatch> MatchQkv(const ir::Graph& graph, const Uses& uses);
// Linears behind a key write and the value write that follows it.
std::vector<StackMatch> MatchCrossKv(const ir::Graph& graph, const Uses& uses);

// `second` swallows `first`: GELU the linear or convolution before it, a sum
// the linear or convolution that only it reads.
struct PairMatch {
  ir::NodeId first = -1;
  ir::NodeId second = -1;
};

std::vector<PairMatch> MatchGelu(const ir::Graph& graph, const Uses& uses);
std::vector<PairMatch> MatchResidual(const ir::Graph& graph, const Uses& uses);
// A table of positions added to a convolution.
std::vector<PairMatch> MatchPosition(const ir::Graph& graph, const Uses& uses);

}  // namespace sotto
