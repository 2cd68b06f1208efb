// SPDX-License-Identifier: MIT
// Checkpoint: what a reader found in its file, under the file's own names,
// before anything is believed. WeightStoreBuilder names, checks and keeps it.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "model/names.h"
#include "model/spec.h"
#include "model/weights.h"
#include "tensor/buffer.h"
#include "tensor/tensor.h"

namespace sotto {

// A tensor whose bytes are known to lie inside the file or a buffer.
struct SourceTensor {
  Tensor tensor;
  const float* row_scales = nullptr;  // kI8: one for each row
  std::string file;                   // for messages
};

// Filled by one reader. Numbers of `spec` that the file does not say stay 0
// and are taken from the shapes.
struct Checkpoint {
  std::string format;
  // The usual naming of the format, for the error where there are no tensors.
  Naming naming = Naming::kHf;
  ModelSpec spec;
  VocabularySource vocabulary;
  std::map<std::string, SourceTensor, std::less<>> tensors;
  std::vector<MappedFile> files;
  std::vector<Buffer> buffers;

  // The bytes of a file that stays mapped as long as the store lives.
  std::span<const std::byte> Map(const std::filesystem::path& path);
  // Zeroed memory that lives as long as the store.
  std::byte* Allocate(size_t bytes);
};

// "folder/model.safetensors": enough of a path to find the file by.
std::string ShortName(const std::filesystem::path& path);

// The folder a file stands in; "." for a bare name.
std::filesystem::path FolderOf(const std::filesystem::path& path);

// Elements of a shape from a file; throws kBadInput where the product does
// not fit or a dimension is negative. `where` is "file: tensor name".
uint64_t CheckedElements(const Shape& shape, const std::string& where);

// Bytes that `elements` of the type take; throws where they are not whole
// blocks.
uint64_t CheckedBytes(DType dtype, const Shape& shape,
                      const std::string& where);

// The readers, one file each. `path` is what Load was given or found.
Checkpoint ReadHfFolder(const std::filesystem::path& folder);
Checkpoint ReadSafetensorsFile(const std::filesystem::path& file);
Checkpoint ReadOpenAi(const std::filesystem::path& file);
Checkpoint ReadCt2(const std::filesystem::path& file);
Checkpoint ReadGgml(const std::filesystem::path& file);
Checkpoint ReadGguf(const std::filesystem::path& file);

// Turns a checkpoint into a store: finds the naming and the prefix, completes
// and checks the spec, resolves every tensor, checks its shape and type.
class WeightStoreBuilder {
 public:
  static std::shared_ptr<const WeightStore> Build(
      Checkpoint checkpoint, const std::filesystem::path& path,
      bool encoder_only);
};

// config.json (and generation_config.json) beside a model, where they stand.
// Throws kBadInput where one is not JSON or a number is not a number.
void ReadConfigFiles(const std::filesystem::path& folder, ModelSpec* spec);

}  // namespace sotto
