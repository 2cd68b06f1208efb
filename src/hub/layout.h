// SPDX-License-Identifier: MIT
// What a whole model looks like on disk, told by file names and sizes only.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sotto {

// A model on disk that lacks nothing Sotto needs.
struct LocalModel {
  std::filesystem::path path;  // what WeightStore::Load takes
  std::string format;          // "hf", "ct2", "openai", "ggml" or "gguf"
  uint64_t bytes = 0;          // of the files of this model
};

// The note `pull` leaves in a folder, so that a folder with a file that is
// missing or short is never taken for whole.
struct PullManifest {
  struct File {
    std::string name;
    uint64_t bytes = 0;
  };
  std::string repository;
  std::string revision;  // the commit
  std::vector<File> files;
};
inline constexpr std::string_view kManifestName = "sotto-pull.json";

// The format a weight file's name promises; empty for other files.
std::string_view FormatOfFile(std::string_view file_name);

// The model in `folder`: Hugging Face (config.json, a tokenizer and
// safetensors, all shards of the index), CTranslate2 (config.json, model.bin
// and a tokenizer or vocabulary), or the one .pt, ggml or .gguf file in it
// (`.gguf` or `ggml*.bin`). Nothing where the folder holds no whole model, or
// several single files: then only their full name helps. Links count as what
// they lead to. Never throws for what it finds.
std::optional<LocalModel> ModelInFolder(const std::filesystem::path& folder);

// The model that `file` itself is, if it is there and has a known name.
std::optional<LocalModel> ModelInFile(const std::filesystem::path& file);

// True where the folder's config.json says that it is a Whisper: model_type
// (Hugging Face) or the keys only CTranslate2's Whisper has.
bool SaysWhisper(const std::filesystem::path& folder);

// The shard files that a safetensors index names, each once, in order. Throws
// kBadInput naming `origin` where the text is no index or a name leaves the
// folder.
std::vector<std::string> ParseShardIndex(std::string_view text,
                                         const std::string& origin);

// Nothing where the folder has no manifest. Throws kBadInput for a bad one.
std::optional<PullManifest> ReadManifest(const std::filesystem::path& folder);
void WriteManifest(const std::filesystem::path& folder,
                   const PullManifest& manifest);

}  // namespace sotto
