// SPDX-License-Identifier: MIT
// Writing a model in any of the five formats.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "model/weights.h"
#include "tensor/dtype.h"

namespace sotto {

enum class ModelFormat { kHf, kOpenAi, kCt2, kGgml, kGguf };

// "hf", "openai", "ct2", "ggml" or "gguf". Throws kBadInput for others.
ModelFormat ParseModelFormat(std::string_view name);
std::string_view Name(ModelFormat format);

// "f32", "f16", "bf16", "int8" or "i8", "q8_0", "q4_k" (any case), ... Throws
// kBadInput naming what there is.
DType ParseWeightType(std::string_view name);

struct ConvertOptions {
  // f32, f16 (or bf16, where the format has it); the source's where unset. A
  // quantised source is kept as it is where the target has that very type,
  // and else becomes f16.
  std::optional<DType> dtype = {};
  // Type of the matrices: q4_0 to q8_0 (ggml, gguf), q4_K to q6_K (gguf; ggml
  // where the width is a multiple of 256), i8 (ct2). Rows that are not whole
  // blocks take the next type that fits, as llama.cpp does (gguf).
  std::optional<DType> quantisation = {};
  // Of the file: NAME.pt, ggml-NAME.bin, NAME-F16.gguf. The source's where
  // empty.
  std::string name = {};
  // gguf: OpenAI's tensor names instead of transcribe.cpp's.
  bool gguf_openai_names = false;
  // Called after each tensor with values done and in all.
  std::function<void(int64_t done, int64_t total)> progress = {};
};

// Writes a folder that other tools of the format read, and gives the path to
// load: the folder for hf and ct2, the file else. Files appear whole or not
// at all; tensors are streamed, so memory stays flat, and the source's pages
// are given back as it goes. What is written beside the weights:
//   hf      model.safetensors config.json generation_config.json
//           preprocessor_config.json and the tokenizer's files
//   openai  NAME.pt alone: openai-whisper ships its vocabularies
//   ct2     model.bin config.json vocabulary.json preprocessor_config.json
//           tokenizer.json
//   ggml    ggml-NAME.bin, with mel filters and vocabulary (alignment heads
//           have no place in it)
//   gguf    NAME-TYPE.gguf, with mel filters and vocabulary
// Tokenizer files are copied from the source's folder where they stand there,
// else made from the vocabulary. Throws kBadInput, kUnsupported.
std::filesystem::path ConvertModel(const WeightStore& store, ModelFormat format,
                                   const std::filesystem::path& out_dir,
                                   const ConvertOptions& options = {});

}  // namespace sotto
