// SPDX-License-Identifier: MIT
#include "model/gguf.h"

#include <array>
#include <map>
#include <optional>
#include <variant>
#include <vector>

#include "base/error.h"
#include "model/bytes.h"
#include "model/checkpoint.h"
#include "model/ggml_types.h"
#include "text/vocabulary.h"

namespace sotto {
namespace {

namespace fs = std::filesystem;

// Metadata of use to us: numbers, strings and lists of them. Floats are read
// past.
using Value = std::variant<std::monostate, int64_t, std::string,
                           std::vector<int64_t>, std::vector<std::string>>;
using Metadata = std::map<std::string, Value, std::less<>>;

// A hostile count must not make us work longer than its bytes justify.
constexpr uint64_t kMaxCount = 1 << 16;
constexpr uint64_t kMaxArray = 1 << 24;

std::string ReadString(ByteReader& in, const char* what) {
  return std::string(in.Text(in.U64(what), what));
}

// An integer of any width; empty for floats, which are skipped.
std::optional<int64_t> ReadNumber(ByteReader& in, GgufType type) {
  constexpr const char* kWhat = "a metadata value";
  switch (type) {
    case GgufType::kU8:
    case GgufType::kBool:
      return in.U8(kWhat);
    case GgufType::kI8:
      return in.Number<int8_t>(kWhat);
    case GgufType::kU16:
      return in.U16(kWhat);
    case GgufType::kI16:
      return in.Number<int16_t>(kWhat);
    case GgufType::kU32:
      return in.U32(kWhat);
    case GgufType::kI32:
      return in.I32(kWhat);
    case GgufType::kU64:
    case GgufType::kI64:
      return in.Number<int64_t>(kWhat);
    case GgufType::kF32:
      in.U32(kWhat);
      return std::nullopt;
    case GgufType::kF64:
      in.U64(kWhat);
      return std::nullopt;
    default:
      break;
  }
  Fail(ErrorCode::kBadInput, "{}: metadata of type {} at byte {}, want 0 to 12",
       in.file(), static_cast<uint32_t>(type), in.offset());
}

Value ReadArray(ByteReader& in) {
  const auto type = static_cast<GgufType>(in.U32("an array's type"));
  const uint64_t count = in.U64("an array's length");
  if (count > kMaxArray || count > in.left())
    Fail(ErrorCode::kBadInput, "{}: an array of {} at byte {}, {} bytes left",
         in.file(), count, in.offset(), in.left());
  if (type == GgufType::kString) {
    std::vector<std::string> out;
    for (uint64_t i = 0; i < count; ++i)
      out.push_back(ReadString(in, "an array's string"));
    return out;
  }
  std::vector<int64_t> out;
  for (uint64_t i = 0; i < count; ++i)
    if (const auto number = ReadNumber(in, type)) out.push_back(*number);
  return out;
}

Value ReadValue(ByteReader& in) {
  const auto type = static_cast<GgufType>(in.U32("a metadata type"));
  if (type == GgufType::kString) return ReadString(in, "a metadata string");
  if (type == GgufType::kArray) return ReadArray(in);
  if (const auto number = ReadNumber(in, type)) return *number;
  return {};
}

uint64_t CheckCount(const ByteReader& in, uint64_t count, const char* what) {
  if (count > kMaxCount)
    Fail(ErrorCode::kBadInput, "{}: {} {}, want at most {}", in.file(), count,
         what, kMaxCount);
  return count;
}

// The first of `keys` that is a number, 0 where none is.
int FindInt(const Metadata& metadata,
            std::initializer_list<std::string_view> keys,
            const std::string& file) {
  for (const std::string_view key : keys) {
    const auto found = metadata.find(key);
    if (found == metadata.end()) continue;
    const auto* number = std::get_if<int64_t>(&found->second);
    if (number == nullptr || *number < 0 || *number > 1 << 30)
      Fail(ErrorCode::kBadInput, "{}: {} is no number from 0 to 2^30", file,
           key);
    return static_cast<int>(*number);
  }
  return 0;
}

template <typename T>
const T* FindList(const Metadata& metadata, std::string_view key) {
  const auto found = metadata.find(key);
  return found == metadata.end() ? nullptr : std::get_if<T>(&found->second);
}

// Keys: transcribe.cpp's (scripts/convert-whisper.py) and those that ggml's
// docs/gguf.md gives for Whisper. What neither says is taken from the shapes.
void ReadSpec(const Metadata& m, const std::string& file, ModelSpec* spec) {
  const auto take = [&](std::initializer_list<std::string_view> keys) {
    return FindInt(m, keys, file);
  };
  spec->n_mels =
      take({"stt.whisper.encoder.num_mel_bins", "whisper.encoder.mels_count"});
  spec->n_audio_ctx = take({"stt.whisper.encoder.max_source_positions",
                            "whisper.encoder.context_length"});
  spec->n_audio_state =
      take({"stt.whisper.encoder.d_model", "whisper.encoder.embedding_length"});
  spec->n_audio_heads = take(
      {"stt.whisper.encoder.n_heads", "whisper.encoder.attention.head_count"});
  spec->n_audio_layers =
      take({"stt.whisper.encoder.n_layers", "whisper.encoder.block_count"});
  spec->n_audio_ffn = take(
      {"stt.whisper.encoder.ffn_dim", "whisper.encoder.feed_forward_length"});
  spec->n_text_ctx = take({"stt.whisper.decoder.max_target_positions",
                           "whisper.decoder.context_length"});
  spec->n_text_state =
      take({"stt.whisper.decoder.d_model", "whisper.decoder.embedding_length"});
  spec->n_text_heads = take(
      {"stt.whisper.decoder.n_heads", "whisper.decoder.attention.head_count"});
  spec->n_text_layers =
      take({"stt.whisper.decoder.n_layers", "whisper.decoder.block_count"});
  spec->n_text_ffn = take(
      {"stt.whisper.decoder.ffn_dim", "whisper.decoder.feed_forward_length"});
  spec->n_vocab =
      take({"stt.whisper.decoder.vocab_size", "whisper.vocab_size"});
  const auto* heads = FindList<std::vector<int64_t>>(m, kGgufAlignmentHeads);
  if (heads == nullptr) return;
  for (size_t i = 0; i + 1 < heads->size(); i += 2) {
    const int64_t layer = (*heads)[i], head = (*heads)[i + 1];
    if (layer >= 0 && layer < 1 << 20 && head >= 0 && head < 1 << 20)
      spec->alignment_heads.emplace_back(static_cast<int>(layer),
                                         static_cast<int>(head));
  }
}

// llama.cpp's "gpt2" vocabularies spell bytes; others hold them raw.
std::vector<std::string> ReadTokens(const Metadata& metadata) {
  const auto* list =
      FindList<std::vector<std::string>>(metadata, "tokenizer.ggml.tokens");
  if (list == nullptr) return {};
  const auto* model = FindList<std::string>(metadata, "tokenizer.ggml.model");
  if (model == nullptr || *model != "gpt2") return *list;
  std::vector<std::string> tokens;
  std::string scratch;
  for (const std::string& token : *list)
    tokens.emplace_back(BytesOfAlphabet(token, scratch));
  return tokens;
}

// A tensor's entry in the directory; its data lies at `offset` of the part
// after all entries.
struct Entry {
  std::string name;
  DType dtype;
  Shape shape;
  uint64_t offset;
};

Entry ReadEntry(ByteReader& in) {
  Entry entry;
  entry.name = ReadString(in, "a tensor's name");
  const std::string where = in.file() + ": tensor " + Legible(entry.name);
  const uint32_t rank = in.U32("a tensor's rank");
  if (rank > Shape::kMaxRank)
    Fail(ErrorCode::kBadInput, "{}: rank {}, want at most {}", where, rank,
         static_cast<int>(Shape::kMaxRank));
  std::array<uint64_t, Shape::kMaxRank> dims{};
  for (uint32_t i = 0; i < rank; ++i) {
    dims[i] = in.U64("a dimension");
    if (dims[i] > INT64_MAX)
      Fail(ErrorCode::kBadInput, "{}: absurd dimension {}", where, dims[i]);
  }
  for (uint32_t i = rank; i-- > 0;)
    entry.shape.Append(static_cast<int64_t>(dims[i]));
  const uint32_t type = in.U32("a tensor's type");
  entry.offset = in.U64("a tensor's offset");
  const auto dtype = FromGgmlType(type);
  if (!dtype)
    Fail(ErrorCode::kUnsupported,
         "{}: ggml type {}, want f32, f16, bf16, q4_0 to q8_0 or q4_K to q6_K",
         where, type);
  entry.dtype = *dtype;
  return entry;
}

void AddTensor(const Entry& entry, std::span<const std::byte> data,
               Checkpoint* out) {
  const std::string& file = out->spec.name;
  const std::string where = file + ": tensor " + Legible(entry.name);
  const uint64_t bytes = CheckedBytes(entry.dtype, entry.shape, where);
  if (entry.offset > data.size() || bytes > data.size() - entry.offset)
    Fail(ErrorCode::kBadInput, "{}: {} bytes at offset {} of {} bytes of data",
         where, bytes, entry.offset, data.size());
  auto* start = const_cast<std::byte*>(data.data()) + entry.offset;
  const bool fresh =
      out->tensors
          .emplace(entry.name,
                   SourceTensor{Tensor::Dense(start, entry.dtype, entry.shape),
                                nullptr, file})
          .second;
  if (!fresh) Fail(ErrorCode::kBadInput, "{}: there twice", where);
}

}  // namespace

Checkpoint ReadGguf(const fs::path& path) {
  Checkpoint out;
  out.format = "gguf";
  out.naming = Naming::kStt;
  out.spec.name = ShortName(path);
  out.vocabulary.folder = FolderOf(path);
  const auto bytes = out.Map(path);
  ByteReader in(bytes, out.spec.name);
  in.U32("the magic");
  const uint32_t version = in.U32("the version");
  if (version != 2 && version != 3)
    Fail(ErrorCode::kUnsupported, "{}: GGUF version {}, want 2 or 3", in.file(),
         version);
  const uint64_t tensors =
      CheckCount(in, in.U64("the number of tensors"), "tensors");
  const uint64_t keys = CheckCount(in, in.U64("the number of keys"), "keys");
  Metadata metadata;
  for (uint64_t i = 0; i < keys; ++i) {
    const std::string key = ReadString(in, "a metadata key");
    metadata.insert_or_assign(key, ReadValue(in));
  }
  ReadSpec(metadata, in.file(), &out.spec);
  out.vocabulary.tokens = ReadTokens(metadata);
  std::vector<Entry> entries;
  for (uint64_t i = 0; i < tensors; ++i) entries.push_back(ReadEntry(in));
  uint64_t alignment = static_cast<uint64_t>(
      FindInt(metadata, {"general.alignment"}, in.file()));
  if (alignment == 0) alignment = kGgufAlignment;
  const uint64_t padding = (alignment - in.offset() % alignment) % alignment;
  const auto data =
      bytes.subspan(in.offset() + static_cast<size_t>(std::min<uint64_t>(
                                      padding, tensors == 0 ? 0 : in.left())));
  for (const Entry& entry : entries) AddTensor(entry, data, &out);
  return out;
}

}  // namespace sotto
