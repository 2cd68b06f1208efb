// SPDX-License-Identifier: MIT
#include "model/convert.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "base/error.h"
#include "model/convert_job.h"
#include "model/dequantise.h"
#include "model/quantise.h"
#include "tensor/half.h"

namespace sotto {
namespace {

namespace fs = std::filesystem;

struct FormatRow {
  ModelFormat format;
  std::string_view name;
  fs::path (*write)(ConvertJob&);
};

constexpr FormatRow kFormats[] = {
    {ModelFormat::kHf, "hf", WriteHf},
    {ModelFormat::kOpenAi, "openai", WriteOpenAi},
    {ModelFormat::kCt2, "ct2", WriteCt2},
    {ModelFormat::kGgml, "ggml", WriteGgml},
    {ModelFormat::kGguf, "gguf", WriteGguf},
};

constexpr DType kWeightTypes[] = {DType::kF32,  DType::kF16,  DType::kBF16,
                                  DType::kI8,   DType::kQ4_0, DType::kQ4_1,
                                  DType::kQ5_0, DType::kQ5_1, DType::kQ8_0,
                                  DType::kQ4_K, DType::kQ5_K, DType::kQ6_K};

// 256 kB of f32: in cache, and whole blocks of every type.
constexpr int64_t kChunk = 1 << 16;

// A name that can be part of a file's name.
std::string FileName(const ConvertJob& job) {
  fs::path path = job.store().path();
  if (path.filename().empty()) path = path.parent_path();
  std::string name =
      fs::is_directory(path) ? path.filename().string() : path.stem().string();
  if (name == "model" || name == "ggml-model")
    name = path.parent_path().filename().string();
  if (name.starts_with("ggml-")) name.erase(0, 5);
  return name.empty() || name == "." || name == ".." ? "model" : name;
}

void CheckOptions(ModelFormat format, const ConvertOptions& options) {
  const DType dtype = options.dtype.value_or(DType::kF16);
  if (dtype != DType::kF32 && dtype != DType::kF16 && dtype != DType::kBF16)
    Fail(ErrorCode::kBadInput, "convert: dtype {}, want f32, f16 or bf16",
         Name(dtype));
  if (dtype == DType::kBF16 && format == ModelFormat::kGgml)
    Fail(ErrorCode::kUnsupported, "convert: ggml has no bf16, want f32 or f16");
  if (!options.quantisation) return;
  const DType type = *options.quantisation;
  const bool ct2 = format == ModelFormat::kCt2 && type == DType::kI8;
  const bool block = IsBlock(type) && (format == ModelFormat::kGgml ||
                                       format == ModelFormat::kGguf);
  if (!ct2 && !block)
    Fail(ErrorCode::kUnsupported,
         "convert: {} has no {}; i8 is for ct2, q4_0 to q6_K for ggml and gguf",
         Name(format), Name(type));
}

}  // namespace

ModelFormat ParseModelFormat(std::string_view name) {
  for (const FormatRow& row : kFormats)
    if (row.name == name) return row.format;
  Fail(ErrorCode::kBadInput,
       "unknown model format '{}', want hf, openai, ct2, ggml or gguf", name);
}

std::string_view Name(ModelFormat format) {
  for (const FormatRow& row : kFormats)
    if (row.format == format) return row.name;
  return "?";
}

DType ParseWeightType(std::string_view name) {
  const auto same = [](char a, char b) {
    return std::tolower(static_cast<unsigned char>(a)) ==
           std::tolower(static_cast<unsigned char>(b));
  };
  constexpr std::array<std::pair<std::string_view, DType>, 4> kAliases = {{
      {"int8", DType::kI8},
      {"float32", DType::kF32},
      {"float16", DType::kF16},
      {"bfloat16", DType::kBF16},
  }};
  for (const auto& [alias, type] : kAliases)
    if (alias == name) return type;
  for (const DType type : kWeightTypes)
    if (std::ranges::equal(Name(type), name, same)) return type;
  Fail(ErrorCode::kBadInput,
       "unknown weight type '{}', want f32, f16, bf16, int8, q4_0, q4_1, q5_0, "
       "q5_1, q8_0, q4_K, q5_K or q6_K",
       name);
}

ConvertJob::ConvertJob(const WeightStore& store, const ConvertOptions& options,
                       const fs::path& out_dir)
    : store_(store), options_(options), folder_(out_dir) {
  name_ = options.name.empty() ? FileName(*this) : options.name;
  if (name_.find('/') != name_.npos)
    Fail(ErrorCode::kBadInput, "convert: name '{}' has a slash", name_);
  for (const auto& [name, entry] : store.entries())
    total_ += entry.tensor.Elements();
}

std::vector<CanonicalTensor> ConvertJob::Tensors() const {
  auto all = CanonicalTensors(spec(), Side::kEncoder);
  for (auto& tensor : CanonicalTensors(spec(), Side::kDecoder))
    all.push_back(std::move(tensor));
  for (const CanonicalTensor& tensor : all) store_.Get(tensor.name);
  return all;
}

DType ConvertJob::PlainType(std::string_view tensor) const {
  if (options_.dtype) return *options_.dtype;
  const DType source = store_.Get(tensor).tensor.dtype;
  return IsBlock(source) || source == DType::kI8 ? DType::kF16 : source;
}

std::vector<std::pair<int, int>> ConvertJob::AlignmentHeads() const {
  if (!spec().alignment_heads.empty()) return spec().alignment_heads;
  std::vector<std::pair<int, int>> heads;
  for (int layer = spec().n_text_layers / 2; layer < spec().n_text_layers;
       ++layer)
    for (int head = 0; head < spec().n_text_heads; ++head)
      heads.emplace_back(layer, head);
  return heads;
}

void ConvertJob::Done(std::string_view tensor) {
  done_ += store_.Get(tensor).tensor.Elements();
  store_.Release(tensor);
  if (options_.progress) options_.progress(done_, total_);
}

void ConvertJob::Encode(std::string_view tensor, DType dtype,
                        const Sink& write) {
  const Tensor& source = store_.Get(tensor).tensor;
  const int64_t count = source.Elements();
  if (source.dtype == dtype) {
    write(source.data, source.Bytes());
    return Done(tensor);
  }
  std::vector<float> values(static_cast<size_t>(std::min(count, kChunk)));
  std::vector<std::byte> bytes(BytesOf(dtype, values.size()));
  for (int64_t i = 0; i < count;) {
    const int64_t n = std::min(kChunk, count - i);
    const auto size = static_cast<size_t>(n);
    store_.Read(tensor, i, n, values.data());
    void* out = bytes.data();
    switch (dtype) {
      case DType::kF32:
        out = values.data();
        break;
      case DType::kF16:
        for (size_t j = 0; j < size; ++j)
          static_cast<F16*>(out)[j] = ToF16(values[j]);
        break;
      case DType::kBF16:
        for (size_t j = 0; j < size; ++j)
          static_cast<BF16*>(out)[j] = ToBF16(values[j]);
        break;
      default:
        Quantise(dtype, values.data(), size, bytes.data());
    }
    write(out, BytesOf(dtype, size));
    i += n;
  }
  Done(tensor);
}

void ConvertJob::EncodeInt8(std::string_view tensor, const Sink& write,
                            std::vector<float>* scales) {
  const Tensor& source = store_.Get(tensor).tensor;
  const int64_t row = source.Elements() / source.shape[0];
  std::vector<float> values(static_cast<size_t>(row));
  std::vector<int8_t> integers(static_cast<size_t>(row));
  for (int64_t i = 0; i < source.shape[0]; ++i) {
    store_.Read(tensor, i * row, row, values.data());
    scales->push_back(
        QuantiseRowInt8(values.data(), values.size(), integers.data()));
    write(integers.data(), integers.size());
  }
  Done(tensor);
}

const Tokenizer& ConvertJob::tokenizer() {
  if (tokenizer_ == nullptr) {
    const VocabularySource& source = store_.vocabulary();
    tokenizer_ = Tokenizer::Load(source.folder, source.tokens, spec().n_vocab);
  }
  return *tokenizer_;
}

int ConvertJob::text_tokens() {
  return has_specials() ? tokenizer().eot() : static_cast<int>(tokens().size());
}

const std::vector<std::string>& ConvertJob::tokens() {
  if (!tokens_.empty()) return tokens_;
  if (!has_specials()) {
    tokens_ = store_.vocabulary().tokens;
    if (tokens_.empty())
      Fail(ErrorCode::kBadInput, "{}: a vocabulary of {} without tokens",
           spec().name, spec().n_vocab);
    return tokens_;
  }
  for (int id = 0; id < spec().n_vocab; ++id) {
    const std::array<int, 1> one = {id};
    tokens_.push_back(id < tokenizer().eot()
                          ? std::string(tokenizer().Bytes(id))
                          : tokenizer().DecodeWithTimestamps(one));
  }
  return tokens_;
}

fs::path ConvertModel(const WeightStore& store, ModelFormat format,
                      const fs::path& out_dir, const ConvertOptions& options) {
  CheckOptions(format, options);
  ConvertJob job(store, options, out_dir);
  for (const FormatRow& row : kFormats) {
    if (row.format != format) continue;
    const fs::path path = row.write(job);
    job.folder().Commit();
    return path;
  }
  Fail(ErrorCode::kInternal, "convert: no such format");
}

}  // namespace sotto
