// SPDX-License-Identifier: MIT
#include "compile/passes.h"

namespace sotto {

ir::Graph ChunkAttention(const ir::Graph& graph, const PassContext& context) {
  ir::Graph g = graph;
  for (ir::Node& node : g.nodes) {
    if (auto* self = std::get_if<ir::AttentionAttrs>(&node.attrs))
      self->q_chunk = context.options.q_chunk;
    // Attention over a cache that sees all of it is cross-attention.
    auto* cached = std::get_if<ir::CachedAttentionAttrs>(&node.attrs);
    if (cached != nullptr && !cached->causal)
      cached->q_chunk = context.options.cross_chunk;
  }
  return g;
}

}  // namespace sotto
