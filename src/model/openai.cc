// SPDX-License-Identifier: MIT
// OpenAI's .pt: a ZIP with one pickle (data.pkl) and one stored entry for
// each storage (data/0, data/1, ...), as torch.save writes it. The pickle is
// {"dims": {...}, "model_state_dict": {...}}; a bare state dictionary, as in
// pytorch_model.bin, is taken too.
#include <array>
#include <cstring>
#include <optional>
#include <set>

#include "base/error.h"
#include "model/bytes.h"
#include "model/checkpoint.h"
#include "model/pickle.h"
#include "model/zip.h"

namespace sotto {
namespace {

namespace fs = std::filesystem;
using Kind = Pickle::Kind;

// Empty for the integer storages, of which Whisper has no tensor.
std::optional<DType> TypeOf(const std::string& storage,
                            const std::string& where) {
  if (storage == "FloatStorage") return DType::kF32;
  if (storage == "HalfStorage") return DType::kF16;
  if (storage == "BFloat16Storage") return DType::kBF16;
  if (storage == "DoubleStorage")
    Fail(ErrorCode::kUnsupported, "{}: type float64, want f32, f16 or bf16",
         where);
  return std::nullopt;
}

class OpenAiReader {
 public:
  OpenAiReader(const fs::path& path, Checkpoint* out)
      : path_(path), out_(*out), bytes_(out->Map(path)) {}

  void Read();

 private:
  std::span<const std::byte> Content(const std::string& name);
  void ReadDims(const Pickle& pickle, const Pickle::Node& dims);
  void ReadHeads(const Pickle& pickle);
  void AddTensor(const Pickle& pickle, const std::string& name,
                 const Pickle::Node& tensor);
  std::byte* Gather(const Pickle::Node& tensor, size_t item,
                    std::span<const std::byte> storage, uint64_t elements,
                    const std::string& where);

  fs::path path_;
  Checkpoint& out_;
  std::span<const std::byte> bytes_;
  ZipDirectory directory_;
  std::string prefix_;
  std::map<std::string, std::span<const std::byte>> inflated_;
  uint64_t copied_ = 0;  // bytes, at most those of the file
};

// An entry's content: in place, or inflated once.
std::span<const std::byte> OpenAiReader::Content(const std::string& name) {
  const auto found = directory_.find(name);
  if (found == directory_.end())
    Fail(ErrorCode::kBadInput, "{}: no entry {}", out_.spec.name,
         Legible(name));
  const ZipEntry& entry = found->second;
  if (!entry.deflated) return bytes_.subspan(entry.offset, entry.size);
  const auto done = inflated_.find(name);
  if (done != inflated_.end()) return done->second;
  out_.buffers.push_back(InflateZipEntry(path_, name, entry));
  return inflated_[name] = out_.buffers.back().bytes();
}

void OpenAiReader::ReadDims(const Pickle& pickle, const Pickle::Node& dims) {
  ModelSpec& spec = out_.spec;
  const std::array<std::pair<const char*, int*>, 10> numbers = {{
      {"n_mels", &spec.n_mels},
      {"n_vocab", &spec.n_vocab},
      {"n_audio_ctx", &spec.n_audio_ctx},
      {"n_audio_state", &spec.n_audio_state},
      {"n_audio_head", &spec.n_audio_heads},
      {"n_audio_layer", &spec.n_audio_layers},
      {"n_text_ctx", &spec.n_text_ctx},
      {"n_text_state", &spec.n_text_state},
      {"n_text_head", &spec.n_text_heads},
      {"n_text_layer", &spec.n_text_layers},
  }};
  for (const auto& [key, number] : numbers) {
    const Pickle::Node* value = pickle.Find(dims, key);
    if (value == nullptr || value->kind != Kind::kInt || value->number < 1 ||
        value->number > 1 << 30)
      Fail(ErrorCode::kBadInput, "{}: dims has no number {}", spec.name, key);
    *number = static_cast<int>(value->number);
  }
}

// Sotto's own addition, which OpenAI's loader passes over: it knows the heads
// of its models by their names.
void OpenAiReader::ReadHeads(const Pickle& pickle) {
  const Pickle::Node* list = pickle.Find(pickle.root(), "alignment_heads");
  if (list == nullptr || list->kind != Kind::kList) return;
  for (const Pickle::Id id : list->items) {
    const Pickle::Node& pair = pickle.node(id);
    if (pair.kind != Kind::kTuple || pair.items.size() != 2) continue;
    const int64_t layer = pickle.node(pair.items[0]).number;
    const int64_t head = pickle.node(pair.items[1]).number;
    if (layer >= 0 && layer < 1 << 20 && head >= 0 && head < 1 << 20)
      out_.spec.alignment_heads.emplace_back(static_cast<int>(layer),
                                             static_cast<int>(head));
  }
}

// A dense copy of a view with other strides.
std::byte* OpenAiReader::Gather(const Pickle::Node& tensor, size_t item,
                                std::span<const std::byte> storage,
                                uint64_t elements, const std::string& where) {
  copied_ += elements * item;
  // Overlapping views could ask for far more than there is.
  if (copied_ > bytes_.size())
    Fail(ErrorCode::kBadInput,
         "{}: strided views of more than the file's {} "
         "bytes",
         where, bytes_.size());
  std::byte* out = out_.Allocate(elements * item);
  const size_t rank = tensor.sizes.size();
  std::array<int64_t, Shape::kMaxRank> index{};
  for (uint64_t i = 0; i < elements; ++i) {
    int64_t at = tensor.offset;
    for (size_t d = 0; d < rank; ++d) at += index[d] * tensor.strides[d];
    std::memcpy(out + i * item, storage.data() + static_cast<size_t>(at) * item,
                item);
    for (size_t d = rank; d-- > 0;) {
      if (++index[d] < tensor.sizes[d]) break;
      index[d] = 0;
    }
  }
  return out;
}

void OpenAiReader::AddTensor(const Pickle& pickle, const std::string& name,
                             const Pickle::Node& tensor) {
  const std::string where = out_.spec.name + ": tensor " + Legible(name);
  const Pickle::Node& storage = pickle.node(tensor.storage);
  const auto dtype = TypeOf(storage.type, where);
  if (!dtype) return;
  if (tensor.sizes.size() > Shape::kMaxRank)
    Fail(ErrorCode::kBadInput, "{}: rank {}, want at most {}", where,
         tensor.sizes.size(), static_cast<int>(Shape::kMaxRank));
  Shape shape;
  for (const int64_t size : tensor.sizes) shape.Append(size);
  const uint64_t elements = CheckedElements(shape, where);
  if (elements == 0) return;
  const auto content = Content(prefix_ + "data/" + storage.text);
  const size_t item = SizeOf(*dtype);
  // The last element's place, in 128 bits so that nothing overflows.
  __int128 last = tensor.offset;
  bool dense = tensor.offset >= 0;
  int64_t stride = 1;
  for (int i = shape.rank() - 1; i >= 0; --i) {
    const int64_t step = tensor.strides[static_cast<size_t>(i)];
    if (step < 0 || tensor.offset < 0)
      Fail(ErrorCode::kBadInput, "{}: a negative stride or offset", where);
    last += static_cast<__int128>(shape[i] - 1) * step;
    dense &= shape[i] == 1 || step == stride;
    stride *= shape[i];
  }
  if (tensor.offset < 0 || last >= static_cast<__int128>(content.size() / item))
    Fail(ErrorCode::kBadInput, "{}: {} reaches past the {} bytes of storage {}",
         where, TypeString(*dtype, shape), content.size(),
         Legible(storage.text));
  auto* data = dense ? const_cast<std::byte*>(content.data()) +
                           static_cast<size_t>(tensor.offset) * item
                     : Gather(tensor, item, content, elements, where);
  out_.tensors.emplace(name, SourceTensor{Tensor::Dense(data, *dtype, shape),
                                          nullptr, out_.spec.name});
}

void OpenAiReader::Read() {
  directory_ = ReadZipDirectory(path_, bytes_.size());
  constexpr std::string_view kPickle = "data.pkl";
  for (const auto& [name, entry] : directory_)
    if (name == kPickle || name.ends_with("/data.pkl"))
      prefix_ = name.substr(0, name.size() - kPickle.size());
  const auto order = directory_.find(prefix_ + "byteorder");
  if (order != directory_.end()) {
    const auto text = Content(order->first);
    if (text.size() >= 3 && std::memcmp(text.data(), "big", 3) == 0)
      Fail(ErrorCode::kUnsupported, "{}: big-endian, want little",
           out_.spec.name);
  }
  const Pickle pickle(Content(prefix_ + std::string(kPickle)), out_.spec.name);
  const Pickle::Node* dims = pickle.Find(pickle.root(), "dims");
  const Pickle::Node* state = pickle.Find(pickle.root(), "model_state_dict");
  if (state == nullptr) state = &pickle.root();
  if (state->kind != Kind::kDict)
    Fail(ErrorCode::kBadInput, "{}: its pickle is no dictionary of tensors",
         out_.spec.name);
  if (dims != nullptr) {
    ReadDims(pickle, *dims);
  } else {  // no checkpoint of OpenAI's: what a folder of its kind says
    ReadConfigFiles(FolderOf(path_), &out_.spec);
  }
  ReadHeads(pickle);
  for (size_t i = 0; i + 1 < state->items.size(); i += 2) {
    const Pickle::Node& key = pickle.node(state->items[i]);
    const Pickle::Node& value = pickle.node(state->items[i + 1]);
    if (key.kind == Kind::kText && value.kind == Kind::kTensor)
      AddTensor(pickle, key.text, value);
  }
}

}  // namespace

Checkpoint ReadOpenAi(const fs::path& path) {
  Checkpoint out;
  out.format = "openai";
  out.naming = Naming::kOpenAi;
  out.spec.name = ShortName(path);
  out.vocabulary.folder = FolderOf(path);
  OpenAiReader(path, &out).Read();
  return out;
}

}  // namespace sotto
