// SPDX-License-Identifier: MIT
// Hugging Face folders: model.safetensors, whole or in shards, and
// config.json.
#include <nlohmann/json.hpp>
#include <set>

#include "base/error.h"
#include "model/bytes.h"
#include "model/checkpoint.h"
#include "model/json.h"
#include "model/safetensors.h"

namespace sotto {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr size_t kMaxConfig = size_t{1} << 24;

json ReadJson(const fs::path& path) {
  return ParseJsonObject(ReadFile(path, kMaxConfig), ShortName(path));
}

void ReadAlignmentHeads(const json& config, const std::string& file,
                        ModelSpec* spec) {
  const auto found = config.find("alignment_heads");
  if (found == config.end() || found->is_null()) return;
  std::vector<std::pair<int, int>> heads;
  const auto bad = [&] {
    Fail(ErrorCode::kBadInput,
         "{}: alignment_heads is not a list of [layer, head]", file);
  };
  if (!found->is_array()) bad();
  for (const json& pair : *found) {
    if (!pair.is_array() || pair.size() != 2) bad();
    for (const json& number : pair)
      if (!number.is_number_unsigned() || number.get<uint64_t>() > 1u << 20)
        bad();
    heads.emplace_back(pair[0].get<int>(), pair[1].get<int>());
  }
  spec->alignment_heads = std::move(heads);
}

// The shards that the index names, each once.
std::set<std::string> ShardNames(const json& index, const std::string& file) {
  std::set<std::string> shards;
  const auto map = index.find("weight_map");
  if (map == index.end() || !map->is_object())
    Fail(ErrorCode::kBadInput, "{}: no weight_map", file);
  for (const auto& [tensor, shard] : map->items()) {
    const std::string name = shard.is_string() ? shard.get<std::string>() : "";
    // An index must not lead out of its folder.
    if (name.empty() || name == ".." || fs::path(name).filename() != name)
      Fail(ErrorCode::kBadInput,
           "{}: tensor {} is in '{}', want a file of this folder", file,
           Legible(tensor), Legible(name));
    shards.insert(name);
  }
  return shards;
}

Checkpoint Start(const fs::path& folder, const fs::path& named) {
  Checkpoint checkpoint;
  checkpoint.format = "hf";
  checkpoint.spec.name = ShortName(named);
  checkpoint.vocabulary.folder = folder;
  return checkpoint;
}

}  // namespace

void ReadConfigFiles(const fs::path& folder, ModelSpec* spec) {
  const fs::path path = folder / "config.json";
  const fs::path generation = folder / "generation_config.json";
  if (fs::exists(path)) {
    const json config = ReadJson(path);
    const std::string file = ShortName(path);
    const auto take = [&](const char* key, int* number) {
      *number = JsonInt(config, key, *number, file);
    };
    take("d_model", &spec->n_audio_state);
    take("d_model", &spec->n_text_state);
    take("num_mel_bins", &spec->n_mels);
    take("max_source_positions", &spec->n_audio_ctx);
    take("max_target_positions", &spec->n_text_ctx);
    take("encoder_layers", &spec->n_audio_layers);
    take("decoder_layers", &spec->n_text_layers);
    take("encoder_attention_heads", &spec->n_audio_heads);
    take("decoder_attention_heads", &spec->n_text_heads);
    take("encoder_ffn_dim", &spec->n_audio_ffn);
    take("decoder_ffn_dim", &spec->n_text_ffn);
    take("vocab_size", &spec->n_vocab);
    ReadAlignmentHeads(config, file, spec);
  }
  if (fs::exists(generation))
    ReadAlignmentHeads(ReadJson(generation), ShortName(generation), spec);
}

Checkpoint ReadSafetensorsFile(const fs::path& file) {
  Checkpoint checkpoint = Start(FolderOf(file), file);
  ReadConfigFiles(FolderOf(file), &checkpoint.spec);
  AddSafetensors(checkpoint.Map(file), ShortName(file), &checkpoint);
  return checkpoint;
}

Checkpoint ReadHfFolder(const fs::path& folder) {
  const fs::path whole = folder / "model.safetensors";
  if (fs::exists(whole)) return ReadSafetensorsFile(whole);
  const fs::path index = folder / "model.safetensors.index.json";
  Checkpoint checkpoint = Start(folder, index);
  ReadConfigFiles(folder, &checkpoint.spec);
  for (const std::string& shard : ShardNames(ReadJson(index), ShortName(index)))
    AddSafetensors(checkpoint.Map(folder / shard), ShortName(folder / shard),
                   &checkpoint);
  return checkpoint;
}

}  // namespace sotto
