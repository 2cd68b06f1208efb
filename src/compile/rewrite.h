// SPDX-License-Identifier: MIT
// Rewriter: builds a graph from another one, node by node. Inputs and states
// come along whole, in order; weights come when something reads them, so what
// a pass no longer needs falls away.
#pragma once

#include <string>
#include <vector>

#include "ir/graph.h"

namespace sotto {

class Rewriter {
 public:
  explicit Rewriter(const ir::Graph& from);

  const ir::Graph& from() const { return from_; }
  ir::Graph& to() { return to_; }

  // The new value that stands for an old one. Throws kInternal where the old
  // one has not been made yet.
  ir::ValueId Map(ir::ValueId old);
  // `old` is from now on `made`.
  void Replace(ir::ValueId old, ir::ValueId made);
  // Copies a node; its output's type is inferred anew. `attrs`: others instead
  // of its own.
  ir::ValueId Copy(const ir::Node& node) { return Copy(node, node.attrs); }
  ir::ValueId Copy(const ir::Node& node, const ir::Attrs& attrs);
  // A new node over new values under the name of `old`, which it replaces.
  ir::ValueId Emit(ir::ValueId old, ir::Op op, std::vector<ir::ValueId> inputs,
                   ir::Attrs attrs);
  // `name`, or, where either graph has it already, `name` with a number.
  std::string Fresh(const std::string& name) const;
  // Outputs mapped, done.
  ir::Graph Take();

 private:
  const ir::Graph& from_;
  ir::Graph to_;
  std::vector<ir::ValueId> map_;
};

// Who reads what.
class Uses {
 public:
  explicit Uses(const ir::Graph& graph);
  // Nodes that read the value, in order; a node twice where it reads it twice.
  const std::vector<ir::NodeId>& Of(ir::ValueId value) const {
    return readers_[static_cast<size_t>(value)];
  }
  bool IsOutput(ir::ValueId value) const {
    return output_[static_cast<size_t>(value)];
  }
  // Exactly one reader and no output: it may be swallowed by that reader.
  bool IsPrivate(ir::ValueId value) const {
    return Of(value).size() == 1 && !IsOutput(value);
  }

 private:
  std::vector<std::vector<ir::NodeId>> readers_;
  std::vector<bool> output_;
};

}  // namespace sotto
