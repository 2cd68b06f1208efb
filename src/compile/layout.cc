// SPDX-License-Identifier: MIT
#include "compile/passes.h"

namespace sotto {

// Matrices and convolutions stand in panels. So does the token table: the
// last linear reads it as a matrix, and embed takes its rows from the same
// panels, so that it stands in memory once.
ir::Graph SetLayout(const ir::Graph& graph, const PassContext&) {
  ir::Graph g = graph;
  for (const ir::Node& node : g.nodes) {
    if (node.op != ir::Op::kLinear && node.op != ir::Op::kConv1d &&
        node.op != ir::Op::kEmbed)
      continue;
    ir::Value& w = g.values[static_cast<size_t>(node.inputs[1])];
    if (w.kind == ir::ValueKind::kWeight) w.layout = ir::Layout::kPanel;
  }
  return g;
}

}  // namespace sotto
