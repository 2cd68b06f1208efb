// SPDX-License-Identifier: MIT
// Writes the seeds of the model fuzz targets: models of a few thousand bytes
// in every format.   make_fuzz_seeds fuzz/corpus
#include <filesystem>
#include <iostream>

#include "base/error.h"
#include "model/convert.h"
#include "tiny_model.h"

namespace {

using namespace sotto;
namespace fs = std::filesystem;

TinyOptions SeedOptions(int width, DType dtype) {
  TinyOptions options = MicroOptions();
  options.n_mels = 2;
  options.n_audio_ctx = options.n_text_ctx = 2;
  options.n_vocab = 3;
  options.width = width;
  options.dtype = dtype;
  return options;
}

void Seed(const fs::path& to, ModelFormat format, const TinyOptions& options,
          const ConvertOptions& how = {}) {
  const auto store = MakeTinyStore(options);
  fs::create_directories(to.parent_path());
  const fs::path folder = to.string() + ".folder";
  fs::path made = ConvertModel(*store, format, folder, how);
  if (format == ModelFormat::kHf) made /= "model.safetensors";
  if (format == ModelFormat::kCt2) made /= "model.bin";
  fs::rename(made, to);
  fs::remove_all(folder);
}

void SeedAll(const fs::path& corpus) {
  const TinyOptions half = SeedOptions(2, DType::kF16);
  const TinyOptions full = SeedOptions(2, DType::kF32);
  const TinyOptions brain = SeedOptions(2, DType::kBF16);
  const TinyOptions wide = SeedOptions(32, DType::kF16);
  Seed(corpus / "safetensors/f16", ModelFormat::kHf, half);
  Seed(corpus / "safetensors/bf16", ModelFormat::kHf, brain);
  Seed(corpus / "openai_pt/f16", ModelFormat::kOpenAi, half);
  Seed(corpus / "openai_pt/f32", ModelFormat::kOpenAi, full);
  Seed(corpus / "ct2/f16", ModelFormat::kCt2, half);
  Seed(corpus / "ct2/int8", ModelFormat::kCt2, half,
       {.quantisation = DType::kI8});
  Seed(corpus / "ggml/f16", ModelFormat::kGgml, half);
  Seed(corpus / "ggml/q5_0", ModelFormat::kGgml, wide,
       {.quantisation = DType::kQ5_0});
  Seed(corpus / "gguf/f16", ModelFormat::kGguf, half);
  Seed(corpus / "gguf/openai_names", ModelFormat::kGguf, full,
       {.gguf_openai_names = true});
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: make_fuzz_seeds CORPUS\n";
    return 2;
  }
  try {
    SeedAll(argv[1]);
  } catch (const Error& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
  return 0;
}
