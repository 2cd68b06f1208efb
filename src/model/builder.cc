// SPDX-License-Identifier: MIT
// From a reader's findings to a store: naming, spec, shapes.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <numeric>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "model/bytes.h"
#include "model/checkpoint.h"
#include "model/names.h"

namespace sotto {
namespace {

using Tensors = std::map<std::string, SourceTensor, std::less<>>;

// How this checkpoint spells a name: a naming and what stands before it.
struct Spelling {
  Naming naming = Naming::kHf;
  std::array<std::string, 2> prefix;  // by Side

  SourceName Of(std::string_view canonical) const {
    SourceName name = NameIn(naming, canonical);
    name.name.insert(0, prefix[canonical.starts_with("enc") ? 0 : 1]);
    return name;
  }
};

// Names by which a naming and its prefix show themselves.
constexpr std::array<std::string_view, 2> kEncoderMarks = {"enc.conv1.w",
                                                           "enc.ln.w"};
constexpr std::array<std::string_view, 2> kDecoderMarks = {"dec.tok_emb",
                                                           "dec.ln.w"};

// What stands before `tail` in the first name that ends with it at a dot.
std::optional<std::string> PrefixBefore(const Tensors& tensors,
                                        std::string_view tail) {
  for (const auto& [name, tensor] : tensors) {
    if (!name.ends_with(tail)) continue;
    const std::string prefix = name.substr(0, name.size() - tail.size());
    if (prefix.empty() || prefix.back() == '.') return prefix;
  }
  return std::nullopt;
}

// The prefix of one side under a naming, from its marks and from layer 0.
std::optional<std::string> FindPrefix(const Tensors& tensors, Naming naming,
                                      Side side) {
  const bool encoder = side == Side::kEncoder;
  const std::string_view layer = encoder ? "enc.0.fc1.w" : "dec.0.fc1.w";
  // The layers tell one naming from another; tables share names.
  if (auto prefix = PrefixBefore(tensors, NameIn(naming, layer).name))
    return prefix;
  for (const std::string_view mark : encoder ? kEncoderMarks : kDecoderMarks)
    if (auto prefix = PrefixBefore(tensors, NameIn(naming, mark).name))
      return prefix;
  return std::nullopt;
}

// The spelling under which most tensors are there.
Spelling FindSpelling(const Checkpoint& checkpoint) {
  const Tensors& tensors = checkpoint.tensors;
  Spelling best{checkpoint.naming, {}};
  int most = 0;
  for (const Naming naming : kNamings) {
    const auto encoder = FindPrefix(tensors, naming, Side::kEncoder);
    const auto decoder = FindPrefix(tensors, naming, Side::kDecoder);
    if (!encoder && !decoder) continue;
    Spelling spelling{naming,
                      {encoder.value_or(decoder.value_or("")),
                       decoder.value_or(encoder.value_or(""))}};
    ModelSpec probe;
    probe.n_audio_layers = probe.n_text_layers = 1;
    int hits = 0;
    for (const Side side : {Side::kEncoder, Side::kDecoder})
      for (const CanonicalTensor& want : CanonicalTensors(probe, side))
        hits += tensors.contains(spelling.Of(want.name).name) ? 1 : 0;
    if (hits <= most) continue;
    most = hits;
    best = std::move(spelling);
  }
  if (most > 0) return best;
  if (tensors.empty()) return best;  // the first missing tensor is the error
  Fail(ErrorCode::kBadInput,
       "{}: {} tensors, none with a name of Whisper (the first is {})",
       checkpoint.spec.name, tensors.size(), Legible(tensors.begin()->first));
}

// The tensor under its usual spelling or, for what row tables mix (an OpenAI
// embedding name among Hugging Face layers), under any other.
const SourceTensor* Find(const Tensors& tensors, const Spelling& spelling,
                         std::string_view canonical, SourceName* found) {
  *found = spelling.Of(canonical);
  if (const auto it = tensors.find(found->name); it != tensors.end())
    return &it->second;
  for (const Naming naming : kNamings) {
    for (const std::string& prefix : spelling.prefix) {
      SourceName other = NameIn(naming, canonical);
      other.name.insert(0, prefix);
      const auto it = tensors.find(other.name);
      if (it == tensors.end()) continue;
      *found = std::move(other);
      return &it->second;
    }
  }
  return nullptr;
}

int Dim(const SourceTensor& tensor, int i) {
  const Shape& shape = tensor.tensor.shape;
  if (i >= shape.rank() || shape[i] > 1 << 30) return 0;
  return static_cast<int>(shape[i]);
}

class Assembler {
 public:
  Assembler(Checkpoint& checkpoint, bool encoder_only)
      : checkpoint_(checkpoint),
        encoder_only_(encoder_only),
        spelling_(FindSpelling(checkpoint)) {}

  void CompleteSpec();
  void Collect(Side side, std::map<std::string, WeightEntry, std::less<>>* to);

 private:
  void CountSide(Side side);
  void RequireAll(Side side) const;
  void CheckTied(const WeightEntry& embedding) const;
  WeightEntry Resolve(const CanonicalTensor& want, const SourceName& name,
                      const SourceTensor& source) const;
  WeightEntry Sinusoid();
  [[noreturn]] void FailMissing(std::string_view name) const {
    Fail(ErrorCode::kBadInput, "{}: no tensor {}", checkpoint_.spec.name,
         spelling_.Of(name).name);
  }

  Checkpoint& checkpoint_;
  bool encoder_only_;
  Spelling spelling_;
};

// Numbers that the file did not say are taken from the shapes of its tensors.
void Assembler::CompleteSpec() {
  ModelSpec& spec = checkpoint_.spec;
  const auto take = [&](int* number, std::string_view name, int dim) {
    SourceName ignored;
    if (*number != 0) return;
    if (const auto* t = Find(checkpoint_.tensors, spelling_, name, &ignored))
      *number = Dim(*t, dim);
  };
  take(&spec.n_audio_state, "enc.conv1.w", 0);
  take(&spec.n_mels, "enc.conv1.w", 1);
  take(&spec.n_audio_ctx, "enc.pos", 0);
  if (spec.n_audio_ctx == 0) spec.n_audio_ctx = 1500;  // 30 s, always so far
  take(&spec.n_audio_ffn, "enc.0.fc1.w", 0);
  take(&spec.n_vocab, "dec.tok_emb", 0);
  take(&spec.n_text_state, "dec.tok_emb", 1);
  take(&spec.n_text_ctx, "dec.pos", 0);
  take(&spec.n_text_ffn, "dec.0.fc1.w", 0);
  CountSide(Side::kEncoder);
  CountSide(Side::kDecoder);
  RequireAll(Side::kEncoder);
  if (!encoder_only_) RequireAll(Side::kDecoder);
  // Every published Whisper has heads of 64.
  if (spec.n_audio_heads == 0)
    spec.n_audio_heads = std::max(1, spec.n_audio_state / 64);
  if (spec.n_text_heads == 0)
    spec.n_text_heads = std::max(1, spec.n_text_state / 64);
  // Distilled models carry the heads of their teacher, whose layers they
  // lack.
  const auto gone = std::erase_if(spec.alignment_heads, [&](auto pair) {
    return pair.first < 0 || pair.first >= spec.n_text_layers ||
           pair.second < 0 || pair.second >= spec.n_text_heads;
  });
  if (gone > 0)
    Log(LogLevel::kInfo,
        "{}: {} alignment heads lie outside the decoder and are ignored",
        spec.name, gone);
}

void Assembler::CountSide(Side side) {
  ModelSpec& spec = checkpoint_.spec;
  const bool encoder = side == Side::kEncoder;
  int& layers = encoder ? spec.n_audio_layers : spec.n_text_layers;
  if (layers != 0) return;
  std::vector<std::string_view> names;
  for (const auto& [name, tensor] : checkpoint_.tensors) names.push_back(name);
  layers = CountLayers(spelling_.naming, side,
                       spelling_.prefix[encoder ? 0 : 1], names);
}

// A missing tensor is told before a number that it would have given, and in
// the order in which the model runs.
void Assembler::RequireAll(Side side) const {
  constexpr int kMostLayers = 512;  // more are refused by ModelSpec::Check
  ModelSpec probe = checkpoint_.spec;
  probe.n_audio_layers = std::clamp(probe.n_audio_layers, 1, kMostLayers);
  probe.n_text_layers = std::clamp(probe.n_text_layers, 1, kMostLayers);
  for (const CanonicalTensor& want : CanonicalTensors(probe, side)) {
    SourceName ignored;
    if (want.name != "enc.pos" &&
        Find(checkpoint_.tensors, spelling_, want.name, &ignored) == nullptr)
      FailMissing(want.name);
  }
}

// Positions of OpenAI's encoder: sines in the first half of the columns,
// cosines in the second, wavelengths from 2 pi to 10000 * 2 pi.
WeightEntry Assembler::Sinusoid() {
  const ModelSpec& spec = checkpoint_.spec;
  const int64_t rows = spec.n_audio_ctx, columns = spec.n_audio_state;
  const int64_t half = columns / 2;
  const size_t bytes = static_cast<size_t>(rows * columns) * sizeof(float);
  // Twice what the largest Whisper needs: a file of a few bytes must not make
  // us fill gigabytes.
  if (bytes > size_t{1} << 24) FailMissing("enc.pos");
  float* data =
      static_cast<float*>(static_cast<void*>(checkpoint_.Allocate(bytes)));
  const double step =
      half > 1 ? std::log(10000.0) / static_cast<double>(half - 1) : 0;
  for (int64_t t = 0; t < rows; ++t) {
    for (int64_t i = 0; i < half; ++i) {
      const double angle =
          static_cast<double>(t) * std::exp(-step * static_cast<double>(i));
      data[t * columns + i] = static_cast<float>(std::sin(angle));
      data[t * columns + half + i] = static_cast<float>(std::cos(angle));
    }
  }
  return {Tensor::Dense(data, DType::kF32, {rows, columns}), nullptr,
          spec.name + ": computed positions"};
}

// Shapes agree where they do so without dimensions of 1: ggml writes a
// convolution's bias as [n, 1].
bool SameShape(const Shape& a, const Shape& b) {
  Shape x, y;
  for (int i = 0; i < a.rank(); ++i)
    if (a[i] != 1) x.Append(a[i]);
  for (int i = 0; i < b.rank(); ++i)
    if (b[i] != 1) y.Append(b[i]);
  return x == y;
}

WeightEntry Assembler::Resolve(const CanonicalTensor& want,
                               const SourceName& name,
                               const SourceTensor& source) const {
  Tensor tensor = source.tensor;
  Shape full = want.shape;
  full[0] *= name.parts;
  if (!SameShape(tensor.shape, full) || tensor.dtype == DType::kI32)
    Fail(ErrorCode::kBadInput, "{}: tensor {} is {}, want f16|bf16|f32{}",
         source.file, Legible(name.name),
         TypeString(tensor.dtype, tensor.shape), full.ToString());
  // A row of blocks must be whole; readers check that of the last dimension.
  const int64_t part = want.shape.Elements();
  const size_t skip =
      BytesOf(tensor.dtype, static_cast<size_t>(part * name.part));
  const DTypeInfo info = Info(tensor.dtype);
  if (part % info.block_elements != 0)
    Fail(ErrorCode::kBadInput, "{}: tensor {} is {}, not whole blocks of {}",
         source.file, Legible(name.name),
         TypeString(tensor.dtype, tensor.shape), info.block_elements);
  const float* scales = source.row_scales;
  if (scales != nullptr) scales += want.shape[0] * name.part;
  return {Tensor::Dense(static_cast<std::byte*>(tensor.data) + skip,
                        tensor.dtype, want.shape),
          scales, source.file + ": tensor " + Legible(name.name)};
}

void Assembler::Collect(Side side,
                        std::map<std::string, WeightEntry, std::less<>>* to) {
  const bool optional = encoder_only_ && side == Side::kDecoder;
  for (const CanonicalTensor& want : CanonicalTensors(checkpoint_.spec, side)) {
    SourceName name;
    const SourceTensor* source =
        Find(checkpoint_.tensors, spelling_, want.name, &name);
    if (source != nullptr) {
      const auto& entry =
          to->emplace(want.name, Resolve(want, name, *source)).first->second;
      if (want.name == "dec.tok_emb") CheckTied(entry);
    } else if (want.name == "enc.pos") {
      to->emplace(want.name, Sinusoid());
    } else if (!optional) {
      FailMissing(want.name);
    }
  }
}

// Hugging Face files may carry the output matrix a second time. It is left
// out, so it must be the embedding: the shape, and the rows of a sample.
void Assembler::CheckTied(const WeightEntry& embedding) const {
  for (const auto& [name, source] : checkpoint_.tensors) {
    if (name != "proj_out.weight" && !name.ends_with(".proj_out.weight"))
      continue;
    const Tensor& a = embedding.tensor;
    const Tensor& b = source.tensor;
    if (a.shape != b.shape)
      Fail(ErrorCode::kBadInput, "{}: tensor {} is {}, want {}", source.file,
           Legible(name), TypeString(b.dtype, b.shape), a.shape.ToString());
    if (a.dtype != b.dtype || IsBlock(a.dtype)) continue;
    const size_t row = a.Bytes() / static_cast<size_t>(a.shape[0]);
    constexpr int64_t kSample = 32;
    for (int64_t i = 0; i < kSample; ++i) {
      const size_t at = static_cast<size_t>(a.shape[0] * i / kSample) * row;
      if (std::memcmp(a.As<std::byte>() + at, b.As<std::byte>() + at, row) != 0)
        Fail(ErrorCode::kUnsupported,
             "{}: tensor {} differs from the token embedding, want them tied",
             source.file, Legible(name));
    }
  }
}

}  // namespace

std::span<const std::byte> Checkpoint::Map(const std::filesystem::path& path) {
  return files.emplace_back(path).bytes();
}

std::byte* Checkpoint::Allocate(size_t bytes) {
  return buffers.emplace_back(bytes).data();
}

std::string ShortName(const std::filesystem::path& path) {
  const std::filesystem::path folder = path.parent_path().filename();
  return (folder.empty() ? path.filename() : folder / path.filename()).string();
}

std::filesystem::path FolderOf(const std::filesystem::path& path) {
  const std::filesystem::path folder = path.parent_path();
  return folder.empty() ? "." : folder;
}

uint64_t CheckedElements(const Shape& shape, const std::string& where) {
  uint64_t elements = 1;
  for (int i = 0; i < shape.rank(); ++i) {
    // 2^44 values are more than any disk's model and leave room for bytes.
    if (shape[i] < 0 ||
        __builtin_mul_overflow(elements, static_cast<uint64_t>(shape[i]),
                               &elements) ||
        elements > uint64_t{1} << 44)
      Fail(ErrorCode::kBadInput, "{}: absurd shape {}", where,
           shape.ToString());
  }
  return elements;
}

uint64_t CheckedBytes(DType dtype, const Shape& shape,
                      const std::string& where) {
  const uint64_t elements = CheckedElements(shape, where);
  const DTypeInfo info = Info(dtype);
  const int64_t row = shape.rank() == 0 ? 1 : shape[-1];
  if (row % info.block_elements != 0)
    Fail(ErrorCode::kBadInput, "{}: {} is not whole blocks of {}", where,
         TypeString(dtype, shape), info.block_elements);
  return elements / info.block_elements * info.block_bytes;
}

std::shared_ptr<const WeightStore> WeightStoreBuilder::Build(
    Checkpoint checkpoint, const std::filesystem::path& path,
    bool encoder_only) {
  Assembler assembler(checkpoint, encoder_only);
  assembler.CompleteSpec();
  auto store = std::make_shared<WeightStore>(WeightStore::Key());
  checkpoint.spec.Check(encoder_only);
  assembler.Collect(Side::kEncoder, &store->entries_);
  const bool decoder =
      checkpoint.spec.n_text_state > 0 && checkpoint.spec.n_text_layers > 0;
  if (!encoder_only || decoder)
    assembler.Collect(Side::kDecoder, &store->entries_);
  store->spec_ = std::move(checkpoint.spec);
  store->vocabulary_ = std::move(checkpoint.vocabulary);
  store->format_ = std::move(checkpoint.format);
  store->path_ = path;
  store->files_ = std::move(checkpoint.files);
  store->buffers_ = std::move(checkpoint.buffers);
  // Formats without an index are walked from tensor to tensor, and each page
  // that is touched brings its neighbours: a third of the file would stay.
  for (const MappedFile& file : store->files_) file.Release(0, file.size());
  return store;
}

}  // namespace sotto
