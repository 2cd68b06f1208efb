// SPDX-License-Identifier: MIT
// whisper.cpp's .bin, as its convert-pt-to-ggml.py and quantize write it.
#include "audio/log_mel.h"
#include "model/convert_job.h"
#include "model/ggml_types.h"

namespace sotto {
namespace {

namespace fs = std::filesystem;

// whisper.cpp wants one type for all matrices.
DType MatrixType(ConvertJob& job) {
  if (job.options().quantisation) return *job.options().quantisation;
  const DType source = job.store().Get("dec.0.fc1.w").tensor.dtype;
  if (!job.options().dtype && IsBlock(source)) return source;
  return job.BulkType() == DType::kF32 ? DType::kF32 : DType::kF16;
}

// Small tensors are f32, convolutions f16 unless the whole file is f32.
DType TypeFor(const CanonicalTensor& tensor, DType matrices) {
  if (tensor.shape.rank() == 1 || tensor.name.ends_with(".pos"))
    return DType::kF32;
  if (tensor.shape.rank() == 3)
    return matrices == DType::kF32 ? DType::kF32 : DType::kF16;
  return matrices;
}

void WriteHeader(ConvertJob& job, DType matrices, OutFile& file) {
  const ModelSpec& s = job.spec();
  file.Number(uint32_t{0x67676d6c});
  for (const int number :
       {s.n_vocab, s.n_audio_ctx, s.n_audio_state, s.n_audio_heads,
        s.n_audio_layers, s.n_text_ctx, s.n_text_state, s.n_text_heads,
        s.n_text_layers, s.n_mels})
    file.Number(int32_t{number});
  // Quantised files carry the version of the block formats, 2, as thousands.
  const auto ftype = static_cast<int32_t>(GgmlTypeOf(matrices)->ftype);
  file.Number(IsBlock(matrices) ? 2000 + ftype : ftype);
  const std::vector<float> filters = MelFilters(s.n_mels);
  file.Number(int32_t{s.n_mels});
  file.Number(static_cast<int32_t>(filters.size()) / s.n_mels);
  file.Write(filters.data(), filters.size() * sizeof(float));
  // The text tokens; 50257 for both of OpenAI's vocabularies.
  const size_t count = std::min<size_t>(job.tokens().size(), 50257);
  file.Number(static_cast<int32_t>(count));
  for (size_t i = 0; i < count; ++i) {
    file.Number(static_cast<int32_t>(job.tokens()[i].size()));
    file.Write(job.tokens()[i]);
  }
}

void WriteTensor(ConvertJob& job, const CanonicalTensor& tensor, DType dtype,
                 OutFile& file) {
  const std::string name = NameIn(Naming::kOpenAi, tensor.name).name;
  Shape shape = tensor.shape;
  // The graph there adds it to [positions, channels].
  if (name == "encoder.conv1.bias" || name == "encoder.conv2.bias")
    shape.Append(1);
  const int64_t block = Info(dtype).block_elements;
  if (shape[-1] % block != 0)
    Fail(ErrorCode::kUnsupported,
         "convert: {} has rows of {}, {} wants multiples of {}", name,
         shape[-1], Name(dtype), block);
  file.Number(static_cast<int32_t>(shape.rank()));
  file.Number(static_cast<int32_t>(name.size()));
  file.Number(static_cast<int32_t>(GgmlTypeOf(dtype)->type));
  for (int i = shape.rank() - 1; i >= 0; --i)
    file.Number(static_cast<int32_t>(shape[i]));
  file.Write(name);
  job.Encode(tensor.name, dtype,
             [&](const void* data, size_t bytes) { file.Write(data, bytes); });
}

}  // namespace

fs::path WriteGgml(ConvertJob& job) {
  const DType matrices = MatrixType(job);
  std::string name = "ggml-" + job.name();
  if (job.options().quantisation) {
    name += '-';
    for (const char c : Name(matrices)) name += c == 'K' ? 'k' : c;
  }
  name += ".bin";
  OutFile file(job.folder().Add(name));
  WriteHeader(job, matrices, file);
  for (const CanonicalTensor& tensor : job.Tensors())
    WriteTensor(job, tensor, TypeFor(tensor, matrices), file);
  file.Close();
  return job.folder().path() / name;
}

}  // namespace sotto
