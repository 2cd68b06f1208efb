// SPDX-License-Identifier: MIT
// Cross K/V, and the decoder as prefill and decode. Both caches are states
// that kv_write fills in place.
#include <cmath>

#include "model/layers.h"

namespace sotto {
namespace {

using ir::KvKind;
using ir::Op;
using ir::ValueId;

// The inputs that every decoder layer reads.
struct DecoderInputs {
  ValueId pos;
  ValueId slot;
};

float Scale(const ModelSpec& spec) {
  return static_cast<float>(1.0 /
                            std::sqrt(static_cast<double>(spec.head_dim())));
}

ValueId Write(LayerBuilder& layers, ValueId cache, ValueId rows, KvKind kind,
              ValueId pos, ValueId slot) {
  ir::Graph& g = layers.graph();
  const std::string name = g.value(cache).name + ".next";
  return g.Add(Op::kKvWrite, {cache, rows, pos, slot},
               ir::KvWriteAttrs{.kind = kind}, name);
}

ValueId SelfAttention(LayerBuilder& layers, ValueId x, const ModelSpec& spec,
                      const StageShape& shape, int layer,
                      const DecoderInputs& in) {
  ir::Graph& g = layers.graph();
  const std::string name = "dec." + std::to_string(layer) + ".attn";
  const int64_t d = spec.n_text_state;
  const ValueId n = layers.LayerNorm(x, name + "_ln");
  const ValueId q = layers.Linear(n, name + ".q", d);
  const ValueId k = layers.Linear(n, name + ".k", d, false);
  const ValueId v = layers.Linear(n, name + ".v", d);
  const Shape dims = SelfCacheShape(spec, shape);
  const ValueId keys = Write(layers, layers.Cache("self_k", layer, dims), k,
                             KvKind::kKey, in.pos, in.slot);
  const ValueId values = Write(layers, layers.Cache("self_v", layer, dims), v,
                               KvKind::kValue, in.pos, in.slot);
  const int64_t extent = shape.kv_extent > 0 ? shape.kv_extent : dims[2];
  const ValueId seen =
      g.Add(Op::kCachedAttention, {q, keys, values, in.pos, in.slot},
            ir::CachedAttentionAttrs{
                .scale = Scale(spec), .causal = true, .extent = extent},
            name);
  return layers.Sum(x, layers.Linear(seen, name + ".o", d), name + ".sum");
}

ValueId CrossAttention(LayerBuilder& layers, ValueId x, const ModelSpec& spec,
                       const StageShape& shape, int layer,
                       const DecoderInputs& in) {
  ir::Graph& g = layers.graph();
  const std::string name = "dec." + std::to_string(layer) + ".cross";
  const int64_t d = spec.n_text_state;
  const ValueId n = layers.LayerNorm(x, name + "_ln");
  const ValueId q = layers.Linear(n, name + ".q", d);
  const Shape dims = CrossCacheShape(spec, shape);
  const ValueId keys = layers.Cache("cross_k", layer, dims);
  const ValueId values = layers.Cache("cross_v", layer, dims);
  const ValueId seen =
      g.Add(Op::kCachedAttention, {q, keys, values, in.pos, in.slot},
            ir::CachedAttentionAttrs{
                .scale = Scale(spec), .causal = false, .extent = dims[2]},
            name);
  return layers.Sum(x, layers.Linear(seen, name + ".o", d), name + ".sum");
}

}  // namespace

ir::Graph BuildCrossKv(const ModelSpec& spec, const StageShape& shape) {
  LayerBuilder layers("cross_kv " + shape.ToString(Stage::kCrossKv));
  ir::Graph& g = layers.graph();
  const int64_t d = spec.n_text_state;
  const ValueId audio = g.Input(
      "audio", DType::kF32, {shape.batch, EncoderPositions(shape.frames), d});
  const ValueId zero = g.Input("zero", DType::kI32, {shape.batch});
  const ValueId slot = g.Input("slot", DType::kI32, {shape.batch});
  const Shape dims = CrossCacheShape(spec, shape);
  for (int i = 0; i < spec.n_text_layers; ++i) {
    const std::string name = "dec." + std::to_string(i) + ".cross";
    const ValueId k = layers.Linear(audio, name + ".k", d, false);
    const ValueId v = layers.Linear(audio, name + ".v", d);
    Write(layers, layers.Cache("cross_k", i, dims), k, KvKind::kKey, zero,
          slot);
    Write(layers, layers.Cache("cross_v", i, dims), v, KvKind::kValue, zero,
          slot);
  }
  return layers.Take();
}

ir::Graph BuildDecoder(const ModelSpec& spec, Stage stage,
                       const StageShape& shape) {
  LayerBuilder layers(std::string(StageName(stage)) + " " +
                      shape.ToString(stage));
  ir::Graph& g = layers.graph();
  const int64_t d = spec.n_text_state;
  const ValueId tokens =
      g.Input("tokens", DType::kI32, {shape.batch, shape.tokens});
  const DecoderInputs in = {
      .pos = g.Input("pos", DType::kI32, {shape.batch}),
      .slot = g.Input("slot", DType::kI32, {shape.batch})};
  const ValueId table = g.Weight("dec.tok_emb", DType::kF32, {spec.n_vocab, d});
  const ValueId where = g.Weight("dec.pos", DType::kF32, {spec.n_text_ctx, d});
  ValueId x = g.Add(Op::kEmbed, {tokens, table, where, in.pos}, ir::CastAttrs{},
                    "dec.embed");
  for (int i = 0; i < spec.n_text_layers; ++i) {
    const std::string name = "dec." + std::to_string(i);
    x = SelfAttention(layers, x, spec, shape, i, in);
    x = CrossAttention(layers, x, spec, shape, i, in);
    const ValueId m = layers.Mlp(layers.LayerNorm(x, name + ".mlp_ln"), name,
                                 spec.n_text_ffn);
    x = layers.Sum(x, m, name + ".mlp.sum");
  }
  x = layers.LayerNorm(x, "dec.ln");
  if (stage == Stage::kPrefill) {
    // Only these rows meet the vocabulary: the rest of the prompt's logits are
    // never asked for.
    const ValueId rows =
        g.Input("rows", DType::kI32, {shape.batch, shape.logit_rows});
    x = g.Add(Op::kSelectRows, {x, rows}, ir::NoAttrs{}, "dec.rows");
  }
  // The tied embedding, read where it stands.
  g.Output(g.Add(Op::kLinear, {x, table}, ir::LinearAttrs{}, "logits"));
  return layers.Take();
}

}  // namespace sotto
