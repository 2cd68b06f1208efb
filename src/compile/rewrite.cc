// SPDX-License-Identifier: MIT
#include "compile/rewrite.h"

#include "base/error.h"

namespace sotto {

Rewriter::Rewriter(const ir::Graph& from)
    : from_(from), map_(from.values.size(), ir::kNoValue) {
  to_.title = from.title;
  for (size_t i = 0; i < from.values.size(); ++i) {
    const ir::Value& value = from.values[i];
    if (value.kind != ir::ValueKind::kInput &&
        value.kind != ir::ValueKind::kState)
      continue;
    map_[i] = static_cast<ir::ValueId>(to_.values.size());
    to_.values.push_back(value);
  }
}

ir::ValueId Rewriter::Map(ir::ValueId old) {
  if (old == ir::kNoValue) return old;
  ir::ValueId& mapped = map_[static_cast<size_t>(old)];
  if (mapped == ir::kNoValue) {
    const ir::Value& value = from_.value(old);
    if (value.kind != ir::ValueKind::kWeight)
      Fail(ErrorCode::kInternal, "rewrite of {}: {} is not made yet",
           from_.title, ir::Label(value));
    mapped = static_cast<ir::ValueId>(to_.values.size());
    to_.values.push_back(value);
  }
  return mapped;
}

void Rewriter::Replace(ir::ValueId old, ir::ValueId made) {
  map_[static_cast<size_t>(old)] = made;
}

ir::ValueId Rewriter::Copy(const ir::Node& node, const ir::Attrs& attrs) {
  std::vector<ir::ValueId> inputs;
  inputs.reserve(node.inputs.size());
  for (const ir::ValueId input : node.inputs) inputs.push_back(Map(input));
  const ir::ValueId made = Emit(node.output, node.op, std::move(inputs), attrs);
  to_.nodes.back().backend = node.backend;
  return made;
}

ir::ValueId Rewriter::Emit(ir::ValueId old, ir::Op op,
                           std::vector<ir::ValueId> inputs, ir::Attrs attrs) {
  const ir::ValueId made =
      to_.Add(op, std::move(inputs), std::move(attrs), from_.value(old).name);
  Replace(old, made);
  return made;
}

std::string Rewriter::Fresh(const std::string& name) const {
  std::string fresh = name;
  for (int i = 2;
       from_.Find(fresh) != ir::kNoValue || to_.Find(fresh) != ir::kNoValue;
       ++i)
    fresh = name + "." + std::to_string(i);
  return fresh;
}

ir::Graph Rewriter::Take() {
  for (const ir::ValueId output : from_.outputs) to_.Output(Map(output));
  return std::move(to_);
}

Uses::Uses(const ir::Graph& graph)
    : readers_(graph.values.size()), output_(graph.values.size(), false) {
  for (size_t i = 0; i < graph.nodes.size(); ++i)
    for (const ir::ValueId input : graph.nodes[i].inputs)
      if (input != ir::kNoValue)
        readers_[static_cast<size_t>(input)].push_back(
            static_cast<ir::NodeId>(i));
  for (const ir::ValueId output : graph.outputs)
    output_[static_cast<size_t>(output)] = true;
}

}  // namespace sotto
