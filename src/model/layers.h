// SPDX-License-Identifier: MIT
// The layers that encoder and decoder share, as graph builders. Names are the
// canonical ones of model/weights.h.
#pragma once

#include <string>

#include "ir/graph.h"
#include "model/spec.h"
#include "model/stages.h"

namespace sotto {

class LayerBuilder {
 public:
  explicit LayerBuilder(std::string title) { graph_.title = std::move(title); }

  ir::Graph& graph() { return graph_; }
  ir::Graph Take() { return std::move(graph_); }

  ir::ValueId LayerNorm(ir::ValueId x, const std::string& name);
  // x w^T [+ b]; `name` + ".w" and, where `bias`, ".b".
  ir::ValueId Linear(ir::ValueId x, const std::string& name, int64_t out,
                     bool bias = true);
  // Two linears with the erf GELU between.
  ir::ValueId Mlp(ir::ValueId x, const std::string& name, int64_t width);
  ir::ValueId Sum(ir::ValueId a, ir::ValueId b, const std::string& name);

  // The K or V cache of a layer: "self_k.0", "cross_v.3".
  ir::ValueId Cache(const std::string& name, int layer, const Shape& shape);

 private:
  ir::Graph graph_;
};

// Dimensions [slots, heads, positions, head_dim] of the caches.
Shape SelfCacheShape(const ModelSpec& spec, const StageShape& shape);
Shape CrossCacheShape(const ModelSpec& spec, const StageShape& shape);

// One stage each; BuildStage has checked the shape.
ir::Graph BuildEncoder(const ModelSpec& spec, const StageShape& shape);
ir::Graph BuildCrossKv(const ModelSpec& spec, const StageShape& shape);
ir::Graph BuildDecoder(const ModelSpec& spec, Stage stage,
                       const StageShape& shape);

}  // namespace sotto
