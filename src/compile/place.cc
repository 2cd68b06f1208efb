// SPDX-License-Identifier: MIT
#include "base/error.h"
#include "compile/passes.h"

namespace sotto {

ir::Graph Place(const ir::Graph& graph, const PassContext& context) {
  ir::Graph g = graph;
  for (size_t i = 0; i < g.nodes.size(); ++i) {
    std::string reasons;
    for (const Backend* backend : context.backends) {
      const std::string why = backend->Refuse(g, static_cast<ir::NodeId>(i));
      if (why.empty()) {
        g.nodes[i].backend = std::string(backend->name());
        break;
      }
      if (!reasons.empty()) reasons += "; ";
      reasons += why;
    }
    if (g.nodes[i].backend.empty())
      Fail(ErrorCode::kUnsupported, "{}: no backend runs {}: {}", g.title,
           ir::Label(g.value(g.nodes[i].output)),
           reasons.empty() ? "there is none" : reasons);
  }
  return g;
}

}  // namespace sotto
