// SPDX-License-Identifier: MIT
#include "hub/layout.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "hub/names.h"

namespace sotto {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr size_t kJsonLimit = size_t{16} << 20;
constexpr const char* kIndexName = "model.safetensors.index.json";

uint64_t FileBytes(const fs::path& path) {
  std::error_code error;
  if (!fs::is_regular_file(path, error)) return 0;
  const uintmax_t bytes = fs::file_size(path, error);
  return error ? 0 : bytes;
}

// An empty file is no file: it is what a full disk leaves behind.
bool HasFile(const fs::path& folder, const char* name) {
  return FileBytes(folder / name) > 0;
}

bool HasTokenizer(const fs::path& folder) {
  return HasFile(folder, "tokenizer.json") ||
         (HasFile(folder, "vocab.json") && HasFile(folder, "merges.txt"));
}

bool HasVocabulary(const fs::path& folder) {
  return HasTokenizer(folder) || HasFile(folder, "vocabulary.json") ||
         HasFile(folder, "vocabulary.txt");
}

bool HasAllShards(const fs::path& folder) {
  if (!HasFile(folder, kIndexName)) return false;
  try {
    const fs::path index = folder / kIndexName;
    const std::vector<std::string> shards =
        ParseShardIndex(ReadFile(index, kJsonLimit), index.string());
    return !shards.empty() &&
           std::all_of(shards.begin(), shards.end(), [&](const auto& shard) {
             return HasFile(folder, shard.c_str());
           });
  } catch (const Error&) {
    return false;
  }
}

bool Holds(const PullManifest& manifest, const fs::path& folder) {
  return std::all_of(manifest.files.begin(), manifest.files.end(),
                     [&](const PullManifest::File& file) {
                       return FileBytes(folder / file.name) == file.bytes;
                     });
}

bool Lists(const PullManifest& manifest, const std::string& name) {
  return std::any_of(manifest.files.begin(), manifest.files.end(),
                     [&](const auto& file) { return file.name == name; });
}

// The one .pt, ggml or .gguf file; where there is a manifest, of those in it:
// `pull org/name/other.bin` puts its file into the same folder.
std::optional<LocalModel> OnlyFile(
    const fs::path& folder, const std::optional<PullManifest>& manifest) {
  std::optional<LocalModel> only;
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; !error && at != end;
       at.increment(error)) {
    std::optional<LocalModel> model = ModelInFile(at->path());
    if (!model || model->format == "hf" || model->format == "ct2") continue;
    if (manifest && !Lists(*manifest, at->path().filename().string())) continue;
    if (only) return std::nullopt;
    only = std::move(model);
  }
  return only;
}

// Bytes of the regular files of the folder itself; a model has no deeper ones.
uint64_t FolderBytes(const fs::path& folder) {
  uint64_t bytes = 0;
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; !error && at != end;
       at.increment(error))
    bytes += FileBytes(at->path());
  return bytes;
}

}  // namespace

std::string_view FormatOfFile(std::string_view name) {
  if (name.ends_with(".safetensors")) return "hf";
  if (name.ends_with(".gguf")) return "gguf";
  if (name.ends_with(".pt")) return "openai";
  if (name == "model.bin") return "ct2";
  if (name.starts_with("ggml") && name.ends_with(".bin")) return "ggml";
  return "";
}

std::optional<LocalModel> ModelInFile(const fs::path& file) {
  const std::string_view format = FormatOfFile(file.filename().string());
  const uint64_t bytes = FileBytes(file);
  if (format.empty() || bytes == 0) return std::nullopt;
  return LocalModel{file, std::string(format), bytes};
}

std::optional<LocalModel> ModelInFolder(const fs::path& folder) {
  std::error_code error;
  if (!fs::is_directory(folder, error)) return std::nullopt;
  std::optional<PullManifest> manifest;
  try {
    manifest = ReadManifest(folder);
  } catch (const Error&) {
    return std::nullopt;  // nothing vouches for the files
  }
  if (manifest && !Holds(*manifest, folder)) return std::nullopt;
  if (HasFile(folder, "config.json")) {
    if (HasTokenizer(folder) &&
        (HasFile(folder, "model.safetensors") || HasAllShards(folder)))
      return LocalModel{folder, "hf", FolderBytes(folder)};
    if (HasFile(folder, "model.bin") && HasVocabulary(folder))
      return LocalModel{folder, "ct2", FolderBytes(folder)};
  }
  return OnlyFile(folder, manifest);
}

bool SaysWhisper(const fs::path& folder) {
  try {
    const json config =
        json::parse(ReadFile(folder / "config.json", kJsonLimit));
    if (!config.is_object()) return false;
    if (const auto type = config.find("model_type"); type != config.end())
      return *type == "whisper";
    // CTranslate2's converter writes these for Whisper and nothing else.
    return config.contains("suppress_ids_begin") ||
           config.contains("alignment_heads") || config.contains("lang_ids");
  } catch (const Error&) {
    return false;
  } catch (const json::exception&) {
    return false;
  }
}

std::vector<std::string> ParseShardIndex(std::string_view text,
                                         const std::string& origin) {
  const json index = json::parse(text, nullptr, /*allow_exceptions=*/false);
  const auto map = index.is_object() ? index.find("weight_map") : index.end();
  if (map == index.end() || !map->is_object())
    Fail(ErrorCode::kBadInput, "{}: no safetensors index, want a weight_map",
         origin);
  std::set<std::string> shards;
  for (const auto& [tensor, shard] : map->items()) {
    if (!shard.is_string())
      Fail(ErrorCode::kBadInput, "{}: a shard's name is a {}, want a string",
           origin, shard.type_name());
    const std::string name = shard.get<std::string>();
    if (!IsSafeRelativePath(name) || name.find('/') != std::string::npos ||
        !name.ends_with(".safetensors"))
      Fail(ErrorCode::kBadInput,
           "{}: shard {} is refused, want a plain .safetensors name", origin,
           Printable(name));
    shards.insert(name);
  }
  return {shards.begin(), shards.end()};
}

std::optional<PullManifest> ReadManifest(const fs::path& folder) {
  const fs::path path = folder / kManifestName;
  std::error_code error;
  if (!fs::exists(path, error)) return std::nullopt;
  const json text = json::parse(ReadFile(path, kJsonLimit), nullptr, false);
  try {
    PullManifest manifest;
    manifest.repository = text.at("repository").get<std::string>();
    manifest.revision = text.at("revision").get<std::string>();
    for (const json& file : text.at("files")) {
      PullManifest::File entry{file.at("name").get<std::string>(),
                               file.at("bytes").get<uint64_t>()};
      if (!IsSafeRelativePath(entry.name))
        Fail(ErrorCode::kBadInput, "{}: file {} is refused", path.string(),
             Printable(entry.name));
      manifest.files.push_back(std::move(entry));
    }
    return manifest;
  } catch (const json::exception&) {
    Fail(ErrorCode::kBadInput,
         "{}: no manifest, want repository, revision and files", path.string());
  }
}

void WriteManifest(const fs::path& folder, const PullManifest& manifest) {
  json files = json::array();
  for (const PullManifest::File& file : manifest.files)
    files.push_back({{"name", file.name}, {"bytes", file.bytes}});
  const json text = {{"repository", manifest.repository},
                     {"revision", manifest.revision},
                     {"files", std::move(files)}};
  WriteFileAtomic(folder / kManifestName, text.dump(1) + "\n");
}

}  // namespace sotto
