// SPDX-License-Identifier: MIT
#include "model/names.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include "base/error.h"

namespace sotto {
namespace {

// One row for each tensor outside the layers. `canonical` carries .w or .b;
// the others are whole names.
struct TopRow {
  Side side;
  std::string_view canonical, hf, openai, stt, ct2;
};

constexpr TopRow kTop[] = {
    {Side::kEncoder, "enc.conv1.w", "encoder.conv1.weight",
     "encoder.conv1.weight", "enc.conv.0.weight", "encoder/conv1/weight"},
    {Side::kEncoder, "enc.conv1.b", "encoder.conv1.bias", "encoder.conv1.bias",
     "enc.conv.0.bias", "encoder/conv1/bias"},
    {Side::kEncoder, "enc.conv2.w", "encoder.conv2.weight",
     "encoder.conv2.weight", "enc.conv.1.weight", "encoder/conv2/weight"},
    {Side::kEncoder, "enc.conv2.b", "encoder.conv2.bias", "encoder.conv2.bias",
     "enc.conv.1.bias", "encoder/conv2/bias"},
    {Side::kEncoder, "enc.pos", "encoder.embed_positions.weight",
     "encoder.positional_embedding", "enc.pos_emb.weight",
     "encoder/position_encodings/encodings"},
    {Side::kEncoder, "enc.ln.w", "encoder.layer_norm.weight",
     "encoder.ln_post.weight", "enc.final_norm.weight",
     "encoder/layer_norm/gamma"},
    {Side::kEncoder, "enc.ln.b", "encoder.layer_norm.bias",
     "encoder.ln_post.bias", "enc.final_norm.bias", "encoder/layer_norm/beta"},
    {Side::kDecoder, "dec.tok_emb", "decoder.embed_tokens.weight",
     "decoder.token_embedding.weight", "dec.token_embd.weight",
     "decoder/embeddings/weight"},
    {Side::kDecoder, "dec.pos", "decoder.embed_positions.weight",
     "decoder.positional_embedding", "dec.pos_emb.weight",
     "decoder/position_encodings/encodings"},
    {Side::kDecoder, "dec.ln.w", "decoder.layer_norm.weight",
     "decoder.ln.weight", "dec.final_norm.weight", "decoder/layer_norm/gamma"},
    {Side::kDecoder, "dec.ln.b", "decoder.layer_norm.bias", "decoder.ln.bias",
     "dec.final_norm.bias", "decoder/layer_norm/beta"},
};

// One row for each module of a layer, without its .w or .b. An empty stt_enc
// marks modules that only the decoder has.
struct LayerRow {
  std::string_view stem, hf, openai, stt_enc, stt_dec, ct2;
  int part = 0;
  int parts = 1;
  bool norm = false;
  bool biased = true;
};

constexpr LayerRow kLayer[] = {
    {"attn_ln", "self_attn_layer_norm", "attn_ln", "norm_attn", "norm_self",
     "self_attention/layer_norm", 0, 1, true},
    {"attn.q", "self_attn.q_proj", "attn.query", "attn.q", "self_attn.q",
     "self_attention/linear_0", 0, 3},
    {"attn.k", "self_attn.k_proj", "attn.key", "attn.k", "self_attn.k",
     "self_attention/linear_0", 1, 3, false, false},
    {"attn.v", "self_attn.v_proj", "attn.value", "attn.v", "self_attn.v",
     "self_attention/linear_0", 2, 3},
    {"attn.o", "self_attn.out_proj", "attn.out", "attn.out", "self_attn.out",
     "self_attention/linear_1"},
    {"cross_ln", "encoder_attn_layer_norm", "cross_attn_ln", "", "norm_cross",
     "attention/layer_norm", 0, 1, true},
    {"cross.q", "encoder_attn.q_proj", "cross_attn.query", "", "cross_attn.q",
     "attention/linear_0"},
    {"cross.k", "encoder_attn.k_proj", "cross_attn.key", "", "cross_attn.k",
     "attention/linear_1", 0, 2, false, false},
    {"cross.v", "encoder_attn.v_proj", "cross_attn.value", "", "cross_attn.v",
     "attention/linear_1", 1, 2},
    {"cross.o", "encoder_attn.out_proj", "cross_attn.out", "", "cross_attn.out",
     "attention/linear_2"},
    {"mlp_ln", "final_layer_norm", "mlp_ln", "norm_ffn", "norm_ffn",
     "ffn/layer_norm", 0, 1, true},
    {"fc1", "fc1", "mlp.0", "ffn.fc1", "ffn.fc1", "ffn/linear_0"},
    {"fc2", "fc2", "mlp.2", "ffn.fc2", "ffn.fc2", "ffn/linear_1"},
};

Shape LayerShape(const LayerRow& row, bool weight, int64_t d, int64_t ffn) {
  const int64_t rows = row.stem == "fc1" ? ffn : d;
  if (row.norm || !weight) return {rows};
  return {rows, row.stem == "fc2" ? ffn : d};
}

Shape TopShape(std::string_view name, const ModelSpec& s) {
  const int64_t d = s.n_audio_state;
  if (name == "enc.conv1.w") return {d, s.n_mels, 3};
  if (name == "enc.conv2.w") return {d, d, 3};
  if (name == "enc.pos") return {s.n_audio_ctx, d};
  if (name == "dec.tok_emb") return {s.n_vocab, s.n_text_state};
  if (name == "dec.pos") return {s.n_text_ctx, s.n_text_state};
  return {name.starts_with("enc") ? d : int64_t{s.n_text_state}};
}

// "N.stem.w" split; the caller has cut "enc." or "dec." off.
struct LayerName {
  int layer;
  std::string_view stem;
  bool weight;
};

LayerName SplitLayer(std::string_view rest) {
  LayerName out{};
  const auto dot = rest.find('.');
  SOTTO_CHECK(dot != rest.npos && rest.size() > dot + 3);
  std::from_chars(rest.data(), rest.data() + dot, out.layer);
  out.weight = rest.ends_with(".w");
  out.stem = rest.substr(dot + 1, rest.size() - dot - 3);
  return out;
}

}  // namespace

std::vector<CanonicalTensor> CanonicalTensors(const ModelSpec& spec,
                                              Side side) {
  const bool encoder = side == Side::kEncoder;
  const int layers = encoder ? spec.n_audio_layers : spec.n_text_layers;
  const int d = encoder ? spec.n_audio_state : spec.n_text_state;
  const int ffn = encoder ? spec.n_audio_ffn : spec.n_text_ffn;
  const char* prefix = encoder ? "enc" : "dec";
  std::vector<CanonicalTensor> out;
  const auto top = [&](bool closing) {
    for (const TopRow& row : kTop) {
      if (row.side != side ||
          (row.canonical.substr(3).starts_with(".ln.")) != closing)
        continue;
      out.push_back(
          {std::string(row.canonical), TopShape(row.canonical, spec)});
    }
  };
  top(false);
  for (int i = 0; i < layers; ++i) {
    for (const LayerRow& row : kLayer) {
      if (encoder && row.stt_enc.empty()) continue;
      out.push_back({fmt::format("{}.{}.{}.w", prefix, i, row.stem),
                     LayerShape(row, true, d, ffn)});
      if (!row.biased) continue;
      out.push_back({fmt::format("{}.{}.{}.b", prefix, i, row.stem),
                     LayerShape(row, false, d, ffn)});
    }
  }
  top(true);
  return out;
}

SourceName NameIn(Naming naming, std::string_view canonical) {
  for (const TopRow& row : kTop) {
    if (row.canonical != canonical) continue;
    switch (naming) {
      case Naming::kHf:
        return {std::string(row.hf)};
      case Naming::kOpenAi:
        return {std::string(row.openai)};
      case Naming::kStt:
        return {std::string(row.stt)};
      case Naming::kCt2:
        return {std::string(row.ct2)};
    }
  }
  const bool encoder = canonical.starts_with("enc.");
  const LayerName name = SplitLayer(canonical.substr(4));
  const auto* row =
      std::find_if(std::begin(kLayer), std::end(kLayer),
                   [&](const LayerRow& r) { return r.stem == name.stem; });
  SOTTO_CHECK(row != std::end(kLayer));
  const char* side = encoder ? "encoder" : "decoder";
  const char* tail = name.weight ? "weight" : "bias";
  switch (naming) {
    case Naming::kHf:
      return {
          fmt::format("{}.layers.{}.{}.{}", side, name.layer, row->hf, tail)};
    case Naming::kOpenAi:
      return {fmt::format("{}.blocks.{}.{}.{}", side, name.layer, row->openai,
                          tail)};
    case Naming::kStt:
      return {fmt::format("{}.blocks.{}.{}.{}", encoder ? "enc" : "dec",
                          name.layer, encoder ? row->stt_enc : row->stt_dec,
                          tail)};
    case Naming::kCt2:
      break;
  }
  if (row->norm) tail = name.weight ? "gamma" : "beta";
  return {fmt::format("{}/layer_{}/{}/{}", side, name.layer, row->ct2, tail),
          row->part, row->parts};
}

int CountLayers(Naming naming, Side side, std::string_view prefix,
                std::span<const std::string_view> names) {
  std::string head(prefix);
  const bool encoder = side == Side::kEncoder;
  if (naming == Naming::kStt) {
    head += encoder ? "enc.blocks." : "dec.blocks.";
  } else {
    head += encoder ? "encoder" : "decoder";
    head += naming == Naming::kHf       ? ".layers."
            : naming == Naming::kOpenAi ? ".blocks."
                                        : "/layer_";
  }
  int count = 0;
  for (const std::string_view name : names) {
    if (!name.starts_with(head)) continue;
    const char* first = name.data() + head.size();
    const char* last = name.data() + name.size();
    int layer = 0;
    const auto [end, error] = std::from_chars(first, last, layer);
    if (error == std::errc() && end != last && layer >= 0 && layer < 1 << 20)
      count = std::max(count, layer + 1);
  }
  return count;
}

}  // namespace sotto
