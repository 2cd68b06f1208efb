// SPDX-License-Identifier: MIT
#include "model/stages.h"

#include <algorithm>
#include <map>

#include "ir/verify.h"
#include "model/layers.h"

namespace sotto {
namespace {

void Within(std::string_view what, int value, int low, int high) {
  if (value < low || value > high)
    Fail(ErrorCode::kBadInput, "{} is {}, want {} to {}", what, value, low,
         high);
}

void CheckShape(const ModelSpec& spec, Stage stage, const StageShape& shape) {
  Within("batch", shape.batch, 1, 1 << 16);
  Within("frames", shape.frames, 1, 2 * spec.n_audio_ctx);
  if (stage == Stage::kEncoder) return;
  Within("slots", shape.slots, 1, 1 << 16);
  if (stage == Stage::kCrossKv) return;
  Within("the KV extent", shape.kv_extent, 0, spec.n_text_ctx);
  const int extent = shape.kv_extent > 0 ? shape.kv_extent : spec.n_text_ctx;
  Within("tokens", shape.tokens, 1, stage == Stage::kDecode ? 1 : extent);
  Within("logit rows", shape.logit_rows, 1,
         stage == Stage::kDecode ? 1 : shape.tokens);
}

}  // namespace

std::string_view StageName(Stage stage) {
  switch (stage) {
    case Stage::kEncoder:
      return "encoder";
    case Stage::kCrossKv:
      return "cross_kv";
    case Stage::kPrefill:
      return "prefill";
    case Stage::kDecode:
      return "decode";
  }
  return "?";
}

std::string StageShape::ToString(Stage stage) const {
  if (stage == Stage::kEncoder)
    return fmt::format("batch={} frames={}", batch, frames);
  const int audio = EncoderPositions(frames);
  if (stage == Stage::kCrossKv)
    return fmt::format("batch={} audio={} slots={}", batch, audio, slots);
  std::string text = fmt::format("batch={}", batch);
  if (stage == Stage::kPrefill)
    text += fmt::format(" tokens={} rows={}", tokens, logit_rows);
  if (kv_extent > 0) text += fmt::format(" kv={}", kv_extent);
  return text + fmt::format(" audio={} slots={}", audio, slots);
}

ir::ValueId LayerBuilder::LayerNorm(ir::ValueId x, const std::string& name) {
  const int64_t d = graph_.value(x).shape[-1];
  const ir::ValueId w = graph_.Weight(name + ".w", DType::kF32, {d});
  const ir::ValueId b = graph_.Weight(name + ".b", DType::kF32, {d});
  return graph_.Add(ir::Op::kLayerNorm, {x, w, b}, ir::NormAttrs{}, name);
}

ir::ValueId LayerBuilder::Linear(ir::ValueId x, const std::string& name,
                                 int64_t out, bool bias) {
  const int64_t in = graph_.value(x).shape[-1];
  std::vector<ir::ValueId> operands = {
      x, graph_.Weight(name + ".w", DType::kF32, {out, in})};
  if (bias) operands.push_back(graph_.Weight(name + ".b", DType::kF32, {out}));
  return graph_.Add(ir::Op::kLinear, std::move(operands), ir::LinearAttrs{},
                    name);
}

ir::ValueId LayerBuilder::Mlp(ir::ValueId x, const std::string& name,
                              int64_t width) {
  const int64_t d = graph_.value(x).shape[-1];
  x = Linear(x, name + ".fc1", width);
  x = graph_.Add(ir::Op::kGelu, {x}, ir::CastAttrs{}, name + ".act");
  return Linear(x, name + ".fc2", d);
}

ir::ValueId LayerBuilder::Sum(ir::ValueId a, ir::ValueId b,
                              const std::string& name) {
  return graph_.Add(ir::Op::kAdd, {a, b}, ir::CastAttrs{}, name);
}

ir::ValueId LayerBuilder::Cache(const std::string& name, int layer,
                                const Shape& shape) {
  return graph_.State(name + "." + std::to_string(layer), DType::kF32, shape);
}

Shape SelfCacheShape(const ModelSpec& spec, const StageShape& shape) {
  return {shape.slots, spec.n_text_heads, spec.n_text_ctx, spec.head_dim()};
}

Shape CrossCacheShape(const ModelSpec& spec, const StageShape& shape) {
  return {shape.slots, spec.n_text_heads, EncoderPositions(shape.frames),
          spec.head_dim()};
}

ir::Graph BuildStage(const ModelSpec& spec, Stage stage,
                     const StageShape& shape) {
  CheckShape(spec, stage, shape);
  switch (stage) {
    case Stage::kEncoder:
      return BuildEncoder(spec, shape);
    case Stage::kCrossKv:
      return BuildCrossKv(spec, shape);
    case Stage::kPrefill:
    case Stage::kDecode:
      return BuildDecoder(spec, stage, shape);
  }
  Fail(ErrorCode::kInternal, "no such stage");
}

namespace {

// Name -> what it must be, for the three kinds of values a stage shows.
struct Interface {
  std::map<std::string, Shape> inputs;
  std::map<std::string, Shape> outputs;
  std::map<std::string, Shape> states;
};

Interface InterfaceOf(const ModelSpec& spec, Stage stage,
                      const StageShape& shape) {
  const int64_t batch = shape.batch;
  const int64_t d = spec.n_audio_state;
  const int64_t audio = EncoderPositions(shape.frames);
  Interface want;
  const auto caches = [&](const std::string& name, const Shape& dims) {
    for (int i = 0; i < spec.n_text_layers; ++i)
      for (const char* kind : {"_k.", "_v."})
        want.states[name + kind + std::to_string(i)] = dims;
  };
  if (stage == Stage::kEncoder) {
    want.inputs["mel"] = {batch, spec.n_mels, shape.frames};
    want.outputs["audio"] = {batch, audio, d};
    return want;
  }
  caches("cross", CrossCacheShape(spec, shape));
  want.inputs["slot"] = {batch};
  if (stage == Stage::kCrossKv) {
    want.inputs["audio"] = {batch, audio, d};
    want.inputs["zero"] = {batch};
    return want;
  }
  caches("self", SelfCacheShape(spec, shape));
  want.inputs["tokens"] = {batch, shape.tokens};
  want.inputs["pos"] = {batch};
  const int64_t rows = stage == Stage::kPrefill ? shape.logit_rows : 1;
  if (stage == Stage::kPrefill) want.inputs["rows"] = {batch, rows};
  want.outputs["logits"] = {batch, rows, spec.n_vocab};
  return want;
}

void Compare(const ir::Graph& graph, std::string_view kind,
             const std::map<std::string, Shape>& want,
             const std::map<std::string, Shape>& have) {
  for (const auto& [name, shape] : want) {
    const auto found = have.find(name);
    if (found == have.end())
      Fail(ErrorCode::kInternal, "{}: {} '{}' is missing", graph.title, kind,
           name);
    if (found->second != shape)
      Fail(ErrorCode::kInternal, "{}: {} '{}' is {}, want {}", graph.title,
           kind, name, found->second.ToString(), shape.ToString());
  }
  for (const auto& [name, shape] : have)
    if (!want.contains(name))
      Fail(ErrorCode::kInternal, "{}: {} '{}' does not belong to the stage",
           graph.title, kind, name);
}

}  // namespace

void VerifyStage(const ModelSpec& spec, Stage stage, const StageShape& shape,
                 const ir::Graph& graph) {
  ir::Verify(graph);
  Interface have;
  for (const ir::Value& value : graph.values) {
    if (value.kind == ir::ValueKind::kInput)
      have.inputs[value.name] = value.shape;
    if (value.kind == ir::ValueKind::kState)
      have.states[value.name] = value.shape;
  }
  for (const ir::ValueId id : graph.outputs) {
    const ir::Value& value = graph.value(id);
    have.outputs[value.name] = value.shape;
    // Programs of one session share these buffers, whatever their profiles.
    if (value.dtype != DType::kF32)
      Fail(ErrorCode::kInternal, "{}: output '{}' is {}, want f32", graph.title,
           value.name, Name(value.dtype));
  }
  const Interface want = InterfaceOf(spec, stage, shape);
  Compare(graph, "input", want.inputs, have.inputs);
  Compare(graph, "output", want.outputs, have.outputs);
  Compare(graph, "state", want.states, have.states);
}

}  // namespace sotto
