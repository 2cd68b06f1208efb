// SPDX-License-Identifier: MIT
#include "compile/passes.h"
#include "compile/rewrite.h"

namespace sotto {

ir::Graph FoldConstants(const ir::Graph& graph) {
  Rewriter rewriter(graph);
  for (const ir::Node& node : graph.nodes) {
    const ir::Value& out = graph.value(node.output);
    const bool same_type =
        node.op == ir::Op::kCast &&
        graph.value(node.inputs[0]).dtype == out.dtype;
    const bool same_shape =
        node.op == ir::Op::kReshape &&
        graph.value(node.inputs[0]).shape == out.shape;
    if (same_type || same_shape) {
      rewriter.Set(node.output, rewriter.Map(node.inputs[0]));
    } else {
      rewriter.Copy(node);
    }
  }
  return rewriter.Finish();
}

ir::Graph RemoveDead(const ir::Graph& graph) {
  std::vector<bool> alive(graph.values.size(), false);
  for (const ir::ValueId output : graph.outputs)
    alive[static_cast<size_t>(output)] = true;
  std::vector<bool> keep(graph.nodes.size(), false);
  for (size_t i = graph.nodes.size(); i-- > 0;) {
    const ir::Node& node = graph.nodes[i];
    // A write to a state is read by the next program.
    if (node.op != ir::Op::kKvWrite && !alive[static_cast<size_t>(node.output)])
      continue;
    keep[i] = true;
    for (const ir::ValueId input : node.inputs)
      if (input != ir::kNoValue) alive[static_cast<size_t>(input)] = true;
  }
  Rewriter rewriter(graph);
  for (size_t i = 0; i < graph.nodes.size(); ++i)
    if (keep[i]) rewriter.Copy(graph.nodes[i]);
  return rewriter.Finish();
}

}  // namespace sotto
