// SPDX-License-Identifier: MIT
#include <algorithm>

#include "compile/passes.h"
#include "compile/rewrite.h"

namespace sotto {
namespace {

bool IsZeros(const ir::Graph& graph, ir::ValueId id) {
  if (id == ir::kNoValue) return false;
  const ir::Value& value = graph.value(id);
  return value.kind == ir::ValueKind::kWeight &&
         std::all_of(
             value.parts.begin(), value.parts.end(),
             [](const ir::WeightPart& part) { return part.name.empty(); });
}

// The operand that the node only repeats, or kNoValue.
ir::ValueId Repeats(const ir::Graph& graph, const ir::Node& node) {
  const ir::Value& out = graph.value(node.output);
  const ir::ValueId x = node.inputs[0];
  const ir::Value& in = graph.value(x);
  const bool same = in.dtype == out.dtype && in.shape == out.shape;
  switch (node.op) {
    case ir::Op::kCast:
    case ir::Op::kReshape:
    case ir::Op::kSlice:
      return same ? x : ir::kNoValue;
    case ir::Op::kAdd:
      return same && IsZeros(graph, node.inputs[1]) ? x : ir::kNoValue;
    default:
      return ir::kNoValue;
  }
}

// A bias or residual of zeros, left out.
ir::Node WithoutZeros(const ir::Graph& graph, ir::Node node) {
  if (node.op != ir::Op::kLinear) return node;
  for (size_t i = 2; i < node.inputs.size(); ++i)
    if (IsZeros(graph, node.inputs[i])) node.inputs[i] = ir::kNoValue;
  return node;
}

// Nodes whose result reaches an output or a state.
std::vector<bool> LiveNodes(const ir::Graph& graph) {
  std::vector<bool> live(graph.nodes.size(), false);
  std::vector<bool> wanted(graph.values.size(), false);
  for (const ir::ValueId id : graph.outputs)
    wanted[static_cast<size_t>(id)] = true;
  for (size_t i = graph.nodes.size(); i-- > 0;) {
    const ir::Node& node = graph.nodes[i];
    live[i] =
        node.op == ir::Op::kKvWrite || wanted[static_cast<size_t>(node.output)];
    if (!live[i]) continue;
    for (const ir::ValueId input : node.inputs)
      if (input != ir::kNoValue) wanted[static_cast<size_t>(input)] = true;
  }
  return live;
}

ir::Graph RemoveDead(const ir::Graph& graph) {
  const std::vector<bool> live = LiveNodes(graph);
  Rewriter rewriter(graph);
  for (size_t i = 0; i < graph.nodes.size(); ++i)
    if (live[i]) rewriter.Copy(graph.nodes[i]);
  return rewriter.Take();
}

}  // namespace

ir::Graph Fold(const ir::Graph& graph, const PassContext& context) {
  ir::Graph folded = graph;
  if (context.options.passes.constant_folding) {
    const Uses uses(graph);
    Rewriter rewriter(graph);
    for (const ir::Node& node : graph.nodes) {
      const ir::ValueId repeated = Repeats(graph, node);
      // note: an output keeps its node, which gives it memory and name.
      if (repeated != ir::kNoValue && !uses.IsOutput(node.output))
        rewriter.Replace(node.output, rewriter.Map(repeated));
      else
        rewriter.Copy(WithoutZeros(graph, node));
    }
    folded = rewriter.Take();
  }
  return context.options.passes.dce ? RemoveDead(folded) : folded;
}

}  // namespace sotto
