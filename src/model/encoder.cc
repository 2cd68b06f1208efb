// SPDX-License-Identifier: MIT
// The encoder: two convolutions, positions, pre-norm blocks, a last norm.
// OpenAI's model.py is the source of the arithmetic.
#include <cmath>

#include "model/layers.h"

namespace sotto {
namespace {

using ir::Op;
using ir::ValueId;

// Convolution of kernel 3 and its GELU.
ValueId Convolution(LayerBuilder& layers, ValueId x, const std::string& name,
                    int64_t channels, int stride) {
  ir::Graph& g = layers.graph();
  const Shape in = g.value(x).shape;
  const ValueId w = g.Weight(name + ".w", DType::kF32, {channels, in[2], 3});
  const ValueId b = g.Weight(name + ".b", DType::kF32, {channels});
  x = g.Add(Op::kConv1d, {x, w, b}, ir::ConvAttrs{.stride = stride}, name);
  return g.Add(Op::kGelu, {x}, ir::CastAttrs{}, name + ".act");
}

ValueId Block(LayerBuilder& layers, ValueId x, const ModelSpec& spec,
              const std::string& name) {
  ir::Graph& g = layers.graph();
  const int64_t d = spec.n_audio_state;
  const int64_t head_dim = d / spec.n_audio_heads;
  const ValueId n = layers.LayerNorm(x, name + ".attn_ln");
  const ValueId q = layers.Linear(n, name + ".attn.q", d);
  const ValueId k = layers.Linear(n, name + ".attn.k", d, false);
  const ValueId v = layers.Linear(n, name + ".attn.v", d);
  // note: head_dim^-0.5 once, here; q and k are not scaled (rlx.md defect 1).
  const ValueId seen = g.Add(
      Op::kAttention, {q, k, v},
      ir::AttentionAttrs{.heads = spec.n_audio_heads,
                         .scale = static_cast<float>(
                             1.0 / std::sqrt(static_cast<double>(head_dim)))},
      name + ".attn");
  const ValueId o = layers.Linear(seen, name + ".attn.o", d);
  x = layers.Sum(x, o, name + ".attn.sum");
  const ValueId m =
      layers.Mlp(layers.LayerNorm(x, name + ".mlp_ln"), name, spec.n_audio_ffn);
  return layers.Sum(x, m, name + ".mlp.sum");
}

}  // namespace

ir::Graph BuildEncoder(const ModelSpec& spec, const StageShape& shape) {
  LayerBuilder layers("encoder " + shape.ToString(Stage::kEncoder));
  ir::Graph& g = layers.graph();
  const int64_t d = spec.n_audio_state;
  const int64_t positions = EncoderPositions(shape.frames);
  ValueId x =
      g.Input("mel", DType::kF32, {shape.batch, spec.n_mels, shape.frames});
  x = g.Add(Op::kTranspose, {x}, ir::NoAttrs{}, "enc.mel");
  x = Convolution(layers, x, "enc.conv1", d, 1);
  x = Convolution(layers, x, "enc.conv2", d, 2);
  // The first rows of the table, where the window is shorter than 30 s.
  const ValueId table = g.Weight("enc.pos", DType::kF32, {positions, d});
  x = layers.Sum(x, table, "enc.sum");
  for (int i = 0; i < spec.n_audio_layers; ++i)
    x = Block(layers, x, spec, "enc." + std::to_string(i));
  const ValueId w = g.Weight("enc.ln.w", DType::kF32, {d});
  const ValueId b = g.Weight("enc.ln.b", DType::kF32, {d});
  g.Output(g.Add(Op::kLayerNorm, {x, w, b}, ir::NormAttrs{}, "audio"));
  return layers.Take();
}

}  // namespace sotto
