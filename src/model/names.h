// SPDX-License-Identifier: MIT
// The names of Whisper's tensors: ours (model/weights.h) and those of the
// formats. One table serves the readers and the writers.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/spec.h"
#include "tensor/tensor.h"

namespace sotto {

enum class Side { kEncoder, kDecoder };

// Ways in which the formats call the tensors.
enum class Naming {
  kHf,      // transformers: encoder.layers.0.self_attn.q_proj.weight
  kOpenAi,  // openai-whisper, ggml: encoder.blocks.0.attn.query.weight
  kStt,     // transcribe.cpp's GGUF: enc.blocks.0.attn.q.weight
  kCt2,     // CTranslate2: encoder/layer_0/self_attention/linear_0/weight
};
inline constexpr Naming kNamings[] = {Naming::kHf, Naming::kOpenAi,
                                      Naming::kStt, Naming::kCt2};

// One tensor that a model of this spec has.
struct CanonicalTensor {
  std::string name;  // "enc.0.attn.q.w"
  Shape shape;
};

// Every tensor of one side, in the order in which the layers run.
std::vector<CanonicalTensor> CanonicalTensors(const ModelSpec& spec, Side side);

// Where a format keeps a tensor. CTranslate2 fuses projections: rows
// [part, part + 1) of `parts` equal parts of the variable are the tensor.
struct SourceName {
  std::string name;
  int part = 0;
  int parts = 1;
};

// The name of a canonical tensor in a format, without prefix. The argument is
// one of CanonicalTensors.
SourceName NameIn(Naming naming, std::string_view canonical);

// How many layers of `side` the names show: 1 + the largest index found in
// "...layers.N." (or blocks.N, layer_N). 0 where none.
int CountLayers(Naming naming, Side side, std::string_view prefix,
                std::span<const std::string_view> names);

}  // namespace sotto
