// SPDX-License-Identifier: MIT
// OpenAI's .pt, as torch.save writes it: a ZIP of stored entries, the pickle
// in protocol 2 with nothing that torch.load(weights_only=True) refuses.
#include <zip.h>

#include <array>
#include <memory>
#include <utility>

#include "model/bytes.h"
#include "model/convert_job.h"

namespace sotto {
namespace {

namespace fs = std::filesystem;

// Pickle opcodes (CPython, Lib/pickletools.py) for plain values.
class PickleText {
 public:
  PickleText() { Op("\x80\x02"); }
  void Op(std::string_view bytes) { text_ += bytes; }
  void Int(int64_t value) {  // BININT, or LONG1 where it does not fit
    if (value >= INT32_MIN && value <= INT32_MAX) {
      text_ += 'J';
      Raw(static_cast<int32_t>(value));
    } else {
      Op("\x8a\x08");
      Raw(value);
    }
  }
  void Text(std::string_view value) {
    text_ += 'X';
    Raw(static_cast<uint32_t>(value.size()));
    text_ += value;
  }
  void Global(std::string_view module, std::string_view name) {
    text_ += fmt::format("c{}\n{}\n", module, name);
  }
  void Tuple(std::span<const int64_t> values) {
    Op("(");
    for (const int64_t value : values) Int(value);
    Op("t");
  }
  const std::string& text() const { return text_; }

 private:
  template <typename T>
  void Raw(T value) {
    text_.append(static_cast<const char*>(static_cast<const void*>(&value)),
                 sizeof(value));
  }
  std::string text_;
};

const char* StorageName(DType dtype) {
  return dtype == DType::kF32   ? "FloatStorage"
         : dtype == DType::kF16 ? "HalfStorage"
                                : "BFloat16Storage";
}

void PickleTensor(const Shape& shape, DType dtype, const std::string& key,
                  PickleText* out) {
  std::vector<int64_t> sizes, strides(static_cast<size_t>(shape.rank()), 1);
  for (int i = 0; i < shape.rank(); ++i) sizes.push_back(shape[i]);
  for (size_t i = strides.size(); i-- > 1;)
    strides[i - 1] = strides[i] * sizes[i];
  out->Global("torch._utils", "_rebuild_tensor_v2");
  out->Op("((");  // arguments, then the storage's persistent id
  out->Text("storage");
  out->Global("torch", StorageName(dtype));
  out->Text(key);
  out->Text("cpu");
  out->Int(shape.Elements());
  out->Op("tQ");
  out->Int(0);
  out->Tuple(sizes);
  out->Tuple(strides);
  out->Op("\x89");  // requires_grad
  out->Global("collections", "OrderedDict");
  out->Op(")RtR");
}

std::string PickleModel(ConvertJob& job) {
  const ModelSpec& s = job.spec();
  PickleText out;
  out.Op("}(");
  out.Text("dims");
  out.Op("}(");
  const std::array<std::pair<const char*, int>, 10> dims = {
      {{"n_mels", s.n_mels},
       {"n_vocab", s.n_vocab},
       {"n_audio_ctx", s.n_audio_ctx},
       {"n_audio_state", s.n_audio_state},
       {"n_audio_head", s.n_audio_heads},
       {"n_audio_layer", s.n_audio_layers},
       {"n_text_ctx", s.n_text_ctx},
       {"n_text_state", s.n_text_state},
       {"n_text_head", s.n_text_heads},
       {"n_text_layer", s.n_text_layers}}};
  for (const auto& [key, value] : dims) {
    out.Text(key);
    out.Int(value);
  }
  out.Op("u");
  out.Text("model_state_dict");
  out.Op("}(");
  int key = 0;
  for (const CanonicalTensor& tensor : job.Tensors()) {
    out.Text(NameIn(Naming::kOpenAi, tensor.name).name);
    PickleTensor(tensor.shape, job.PlainType(tensor.name),
                 std::to_string(key++), &out);
  }
  out.Op("u");
  // Ours: OpenAI's loader knows the heads of its models by their names.
  out.Text("alignment_heads");
  out.Op("](");
  for (const auto& [layer, head] : s.alignment_heads) {
    out.Int(layer);
    out.Int(head);
    out.Op("\x86");
  }
  out.Op("eu.");
  return out.text();
}

// Stored entries one after another, each at a multiple of 64 bytes, as
// PyTorch pads them, so that they can be mapped.
class StoredZip {
 public:
  explicit StoredZip(const fs::path& path)
      : path_(path), zip_(zipOpen64(path.c_str(), APPEND_STATUS_CREATE)) {
    if (zip_ == nullptr)
      Fail(ErrorCode::kBadInput, "{}: cannot write", path.string());
  }
  StoredZip(const StoredZip&) = delete;
  StoredZip& operator=(const StoredZip&) = delete;
  ~StoredZip() {
    if (zip_ != nullptr) zipClose(zip_, nullptr);
  }

  void Begin(const std::string& name, uint64_t bytes);
  void Write(const void* data, size_t bytes);
  void End() { Check(zipCloseFileInZip(zip_)); }
  void Text(const std::string& name, std::string_view text) {
    Begin(name, text.size());
    Write(text.data(), text.size());
    End();
  }
  void Close() { Check(zipClose(std::exchange(zip_, nullptr), nullptr)); }

 private:
  void Check(int status) const {
    if (status != ZIP_OK)
      Fail(ErrorCode::kBadInput, "{}: cannot write, the disk may be full",
           path_.string());
  }
  fs::path path_;
  zipFile zip_;
  uint64_t offset_ = 0;  // where the next local header goes
};

void StoredZip::Begin(const std::string& name, uint64_t bytes) {
  constexpr uint64_t kHeader = 30, kZip64 = 20, kAlign = 64;
  const bool large = bytes >= UINT32_MAX;
  const uint64_t fixed =
      offset_ + kHeader + name.size() + (large ? kZip64 : 0) + 4;
  const uint64_t pad = (kAlign - fixed % kAlign) % kAlign;
  std::string extra = "FB";  // PyTorch's mark of padding
  extra += static_cast<char>(pad);
  extra += '\0';
  extra.append(pad, 'Z');
  zip_fileinfo info{};
  info.tmz_date = {0, 0, 0, 1, 0, 1980};  // the same file every time
  Check(zipOpenNewFileInZip4_64(
      zip_, name.c_str(), &info, extra.data(),
      static_cast<unsigned>(extra.size()), nullptr, 0, nullptr, /*method=*/0,
      /*level=*/0, /*raw=*/0, -MAX_WBITS, DEF_MEM_LEVEL, Z_DEFAULT_STRATEGY,
      nullptr, 0, 0, 0, large ? 1 : 0));
  offset_ = fixed + pad + bytes;
}

void StoredZip::Write(const void* data, size_t bytes) {
  const auto* from = static_cast<const char*>(data);
  while (bytes > 0) {
    const auto part =
        static_cast<unsigned>(std::min<size_t>(bytes, size_t{1} << 26));
    Check(zipWriteInFileInZip(zip_, from, part));
    from += part;
    bytes -= part;
  }
}

}  // namespace

fs::path WriteOpenAi(ConvertJob& job) {
  const std::string file = job.name() + ".pt";
  StoredZip zip(job.folder().Add(file));
  const std::string root = job.name() + "/";
  zip.Text(root + "data.pkl", PickleModel(job));
  zip.Text(root + "byteorder", "little");
  int key = 0;
  for (const CanonicalTensor& tensor : job.Tensors()) {
    const DType dtype = job.PlainType(tensor.name);
    zip.Begin(root + "data/" + std::to_string(key++),
              BytesOf(dtype, static_cast<size_t>(tensor.shape.Elements())));
    job.Encode(tensor.name, dtype,
               [&](const void* data, size_t bytes) { zip.Write(data, bytes); });
    zip.End();
  }
  zip.Text(root + "version", "3\n");
  zip.Close();
  return job.folder().path() / file;
}

}  // namespace sotto
