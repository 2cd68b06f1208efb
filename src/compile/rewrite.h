// SPDX-License-Identifier: MIT
// Copying a graph while changing it: what all passes are made of.
#pragma once

#include <functional>
#include <vector>

#include "ir/graph.h"

namespace sotto {

class Rewriter {
 public:
  explicit Rewriter(const ir::Graph& from);

  ir::Graph& graph() { return to_; }
  // The new id of an old value; copies weights, inputs and states on first use.
  ir::ValueId Map(ir::ValueId old);
  void Set(ir::ValueId old, ir::ValueId fresh);
  // Copies a node with its inputs mapped; its output keeps its name.
  ir::ValueId Copy(const ir::Node& node);
  ir::ValueId CopyWith(const ir::Node& node, ir::Attrs attrs);
  // Maps the outputs and returns the new graph.
  ir::Graph Finish();

 private:
  const ir::Graph& from_;
  ir::Graph to_;
  std::vector<ir::ValueId> map_;
};

// How many times each value is read, outputs counted.
std::vector<int> CountUses(const ir::Graph& graph);

}  // namespace sotto
