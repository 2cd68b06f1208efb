// SPDX-License-Identifier: MIT
#include "compile/passes.h"

namespace sotto {

ir::Graph ChunkAttention(const ir::Graph& graph, const PassContext& context) {
  ir::Graph g = graph;
  for (ir::Node& node : g.nodes)
    if (node.op == ir::Op::kAttention)
      std::get<ir::AttentionAttrs>(node.attrs).q_chunk =
          context.options.q_chunk;
  return g;
}

}  // namespace sotto
