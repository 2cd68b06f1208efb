// SPDX-License-Identifier: MIT
#include "compile/rewrite.h"

namespace sotto {

Rewriter::Rewriter(const ir::Graph& from)
    : from_(from), map_(from.values.size(), ir::kNoValue) {
  to_.title = from.title;
  // Inputs keep their order, so that a graph reads the same after a pass.
  for (size_t i = 0; i < from.values.size(); ++i)
    if (from.values[i].kind == ir::ValueKind::kInput)
      Map(static_cast<ir::ValueId>(i));
}

ir::ValueId Rewriter::Map(ir::ValueId old) {
  if (old == ir::kNoValue) return old;
  ir::ValueId& fresh = map_[static_cast<size_t>(old)];
  if (fresh == ir::kNoValue) {
    SOTTO_CHECK(from_.value(old).kind != ir::ValueKind::kTemp);
    fresh = static_cast<ir::ValueId>(to_.values.size());
    to_.values.push_back(from_.value(old));
  }
  return fresh;
}

void Rewriter::Set(ir::ValueId old, ir::ValueId fresh) {
  map_[static_cast<size_t>(old)] = fresh;
}

ir::ValueId Rewriter::Copy(const ir::Node& node) {
  return CopyWith(node, node.attrs);
}

ir::ValueId Rewriter::CopyWith(const ir::Node& node, ir::Attrs attrs) {
  std::vector<ir::ValueId> inputs;
  for (const ir::ValueId input : node.inputs) inputs.push_back(Map(input));
  const ir::ValueId fresh =
      to_.Add(node.op, std::move(inputs), std::move(attrs),
              from_.value(node.output).name);
  to_.nodes.back().backend = node.backend;
  Set(node.output, fresh);
  return fresh;
}

ir::Graph Rewriter::Finish() {
  for (const ir::ValueId output : from_.outputs) to_.Output(Map(output));
  return std::move(to_);
}

std::vector<int> CountUses(const ir::Graph& graph) {
  std::vector<int> uses(graph.values.size(), 0);
  const auto count = [&](ir::ValueId id) {
    if (id != ir::kNoValue) ++uses[static_cast<size_t>(id)];
  };
  for (const ir::Node& node : graph.nodes)
    for (const ir::ValueId input : node.inputs) count(input);
  for (const ir::ValueId output : graph.outputs) count(output);
  return uses;
}

}  // namespace sotto
