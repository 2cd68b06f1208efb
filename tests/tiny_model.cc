// SPDX-License-Identifier: MIT
#include "tiny_model.h"

#include <fmt/format.h>

#include <cmath>

#include "model/names.h"
#include "tensor/half.h"

namespace sotto {
namespace {

// splitmix64: small, good enough, and the same everywhere.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t Next() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  // Mean 0, deviation 1: four uniform numbers of 16 bits, summed. No library
  // function, so no rounding of its own.
  float Normal() {
    const uint64_t bits = Next();
    int sum = 0;
    for (int i = 0; i < 4; ++i)
      sum += static_cast<int>((bits >> (16 * i)) & 0xffffu) - 32768;
    return static_cast<float>(sum) * (1.0f / 37837.0f);
  }

 private:
  uint64_t state_;
};

// Each tensor has its own stream, so that one option changes no other tensor.
uint64_t SeedOf(uint64_t seed, std::string_view name) {
  uint64_t hash = 0xcbf29ce484222325u ^ seed;
  for (const char c : name)
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return hash;
}

float Position(int64_t row, int64_t column, int64_t width) {
  const int64_t half = width / 2;
  const double rate =
      std::exp(-std::log(10000.0) * static_cast<double>(column % half) /
               static_cast<double>(half - 1));
  const double angle = static_cast<double>(row) * rate;
  return static_cast<float>(column < half ? std::sin(angle) : std::cos(angle));
}

void Store(DType dtype, std::byte* data, int64_t i, float value) {
  void* start = data;
  if (dtype == DType::kF32) static_cast<float*>(start)[i] = value;
  if (dtype == DType::kF16) static_cast<F16*>(start)[i] = ToF16(value);
  if (dtype == DType::kBF16) static_cast<BF16*>(start)[i] = ToBF16(value);
}

SourceTensor MakeTensor(const CanonicalTensor& want, const TinyOptions& options,
                        Checkpoint* out) {
  const int64_t count = want.shape.Elements();
  std::byte* data =
      out->Allocate(BytesOf(options.dtype, static_cast<size_t>(count)));
  Random random(SeedOf(options.seed, want.name));
  const bool gain = want.name.ends_with("ln.w");
  for (int64_t i = 0; i < count; ++i) {
    float value = random.Normal() * options.deviation;
    if (gain) value += 1.0f;
    if (want.name == "enc.pos")
      value = Position(i / options.width, i % options.width, options.width);
    Store(options.dtype, data, i, value);
  }
  return {Tensor::Dense(data, options.dtype, want.shape), nullptr, "tiny"};
}

}  // namespace

TinyOptions MicroOptions() {
  return {.n_mels = 8,
          .n_audio_ctx = 16,
          .n_text_ctx = 12,
          .audio_layers = 1,
          .text_layers = 1,
          .n_vocab = 300};
}

Checkpoint MakeTinyCheckpoint(const TinyOptions& options) {
  Checkpoint out;
  out.format = "hf";
  ModelSpec& spec = out.spec;
  spec.name = "tiny";
  spec.n_mels = options.n_mels;
  spec.n_audio_ctx = options.n_audio_ctx;
  spec.n_text_ctx = options.n_text_ctx;
  spec.n_audio_state = spec.n_text_state = options.width;
  spec.n_audio_heads = spec.n_text_heads = options.heads;
  spec.n_audio_layers = options.audio_layers;
  spec.n_text_layers = options.text_layers;
  spec.n_audio_ffn = spec.n_text_ffn = 4 * options.width;
  spec.n_vocab = options.n_vocab;
  spec.alignment_heads = {{options.text_layers - 1, options.heads - 1}};
  for (const Side side : {Side::kEncoder, Side::kDecoder})
    for (const CanonicalTensor& want : CanonicalTensors(spec, side))
      out.tensors.emplace("model." + NameIn(Naming::kHf, want.name).name,
                          MakeTensor(want, options, &out));
  if (options.n_vocab < 51864)
    for (int i = 0; i < options.n_vocab; ++i)
      out.vocabulary.tokens.push_back(fmt::format("t{}", i));
  return out;
}

std::shared_ptr<const WeightStore> MakeTinyStore(const TinyOptions& options) {
  return WeightStoreBuilder::Build(MakeTinyCheckpoint(options), "tiny",
                                   /*encoder_only=*/false);
}

}  // namespace sotto
