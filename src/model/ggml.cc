// SPDX-License-Identifier: MIT
// whisper.cpp's ggml .bin. Layout (models/convert-pt-to-ggml.py and
// whisper_model_load of that project): magic, 11 numbers, mel filters,
// vocabulary, then tensors until the end of the file, nothing aligned.
#include <array>

#include "base/error.h"
#include "model/bytes.h"
#include "model/checkpoint.h"
#include "model/ggml_types.h"

namespace sotto {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxTensors = 1 << 16;

// Numbers of the header, in the order of the file. The last, ftype, is not
// needed: each tensor says its own type.
void ReadHeader(ByteReader& in, ModelSpec* spec) {
  in.U32("the magic");
  const std::array<std::pair<int*, const char*>, 10> numbers = {{
      {&spec->n_vocab, "n_vocab"},
      {&spec->n_audio_ctx, "n_audio_ctx"},
      {&spec->n_audio_state, "n_audio_state"},
      {&spec->n_audio_heads, "n_audio_head"},
      {&spec->n_audio_layers, "n_audio_layer"},
      {&spec->n_text_ctx, "n_text_ctx"},
      {&spec->n_text_state, "n_text_state"},
      {&spec->n_text_heads, "n_text_head"},
      {&spec->n_text_layers, "n_text_layer"},
      {&spec->n_mels, "n_mels"},
  }};
  for (const auto& [number, what] : numbers) {
    *number = in.I32(what);
    if (*number <= 0)
      Fail(ErrorCode::kBadInput, "{}: {} is {}, want more than 0", in.file(),
           what, *number);
  }
  in.I32("ftype");
}

void SkipFilters(ByteReader& in) {
  const uint64_t mels = in.U32("the number of mel filters");
  const uint64_t bins = in.U32("the number of frequency bins");
  // Two 32-bit numbers: no overflow but in the product with 4.
  if (mels * bins > in.left() / sizeof(float))
    Fail(ErrorCode::kBadInput, "{}: mel filters [{},{}] do not fit the file",
         in.file(), mels, bins);
  in.Take(mels * bins * sizeof(float), "the mel filters");
}

std::vector<std::string> ReadVocabulary(ByteReader& in, int n_vocab) {
  const uint32_t count = in.U32("the number of tokens");
  if (count > static_cast<uint32_t>(n_vocab))
    Fail(ErrorCode::kBadInput, "{}: {} tokens listed, want at most {}",
         in.file(), count, n_vocab);
  std::vector<std::string> tokens;
  for (uint32_t i = 0; i < count; ++i)
    tokens.emplace_back(in.Text(in.U32("a token's length"), "a token"));
  return tokens;
}

void ReadTensor(ByteReader& in, Checkpoint* out) {
  const uint32_t rank = in.U32("a tensor's rank");
  const uint32_t length = in.U32("a tensor's name length");
  const uint32_t type = in.U32("a tensor's type");
  if (rank > Shape::kMaxRank)
    Fail(ErrorCode::kBadInput,
         "{}: a tensor of rank {} at byte {}, want at "
         "most {}",
         in.file(), rank, in.offset() - 12, static_cast<int>(Shape::kMaxRank));
  std::array<uint32_t, Shape::kMaxRank> dims{};
  for (uint32_t i = 0; i < rank; ++i) dims[i] = in.U32("a dimension");
  const std::string name(in.Text(length, "a tensor's name"));
  const std::string where = in.file() + ": tensor " + Legible(name);
  const auto dtype = FromGgmlType(type);
  if (!dtype)
    Fail(ErrorCode::kUnsupported,
         "{}: ggml type {}, want f32, f16, bf16, "
         "q4_0 to q8_0 or q4_K to q6_K",
         where, type);
  Shape shape;  // the file has the fastest dimension first
  for (uint32_t i = rank; i-- > 0;) shape.Append(dims[i]);
  const auto data =
      in.Take(CheckedBytes(*dtype, shape, where), "tensor " + Legible(name));
  auto* start = const_cast<std::byte*>(data.data());
  const bool fresh =
      out->tensors
          .emplace(name, SourceTensor{Tensor::Dense(start, *dtype, shape),
                                      nullptr, in.file()})
          .second;
  if (!fresh) Fail(ErrorCode::kBadInput, "{}: there twice", where);
  if (out->tensors.size() > kMaxTensors)
    Fail(ErrorCode::kBadInput, "{}: more than {} tensors", in.file(),
         kMaxTensors);
}

}  // namespace

Checkpoint ReadGgml(const fs::path& path) {
  Checkpoint out;
  out.format = "ggml";
  out.naming = Naming::kOpenAi;
  out.spec.name = ShortName(path);
  out.vocabulary.folder = FolderOf(path);
  ByteReader in(out.Map(path), out.spec.name);
  ReadHeader(in, &out.spec);
  SkipFilters(in);
  out.vocabulary.tokens = ReadVocabulary(in, out.spec.n_vocab);
  while (in.left() > 0) ReadTensor(in, &out);
  return out;
}

}  // namespace sotto
