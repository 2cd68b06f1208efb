// SPDX-License-Identifier: MIT
// Layout and placement: how weights are stored, and who computes what.
#include "compile/passes.h"

namespace sotto {

ir::Graph ApplyLayout(const ir::Graph& graph, const StageOptions& options) {
  ir::Graph laid = graph;
  for (ir::Node& node : laid.nodes) {
    const bool matrix = node.op == ir::Op::kLinear ||
                        node.op == ir::Op::kConv1d ||
                        node.op == ir::Op::kEmbed;
    if (matrix)
      laid.values[static_cast<size_t>(node.inputs[1])].layout =
          ir::Layout::kPanel;
    if (auto* attention = std::get_if<ir::AttentionAttrs>(&node.attrs))
      attention->q_chunk = options.q_chunk;
  }
  return laid;
}

ir::Graph Place(const ir::Graph& graph, std::span<Backend* const> backends) {
  ir::Graph placed = graph;
  for (size_t i = 0; i < placed.nodes.size(); ++i) {
    std::string reasons;
    for (const Backend* backend : backends) {
      const std::string why =
          backend->Refuse(placed, static_cast<ir::NodeId>(i));
      if (why.empty()) {
        placed.nodes[i].backend = backend->name();
        break;
      }
      reasons += (reasons.empty() ? "" : "; ") + why;
    }
    if (placed.nodes[i].backend.empty())
      Fail(ErrorCode::kUnsupported, "{}: no backend takes {}: {}", graph.title,
           Info(placed.nodes[i].op).name, reasons);
  }
  return placed;
}

}  // namespace sotto
