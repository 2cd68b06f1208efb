// SPDX-License-Identifier: MIT
// Models that are already on this machine: Sotto's own and those that other
// tools have brought. Nothing here uses the network.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "hub/environment.h"
#include "hub/names.h"

namespace sotto {

// A whole model on this machine.
struct FoundModel {
  std::string name;            // what --model takes to get it
  std::filesystem::path path;  // what WeightStore::Load takes
  std::string source;  // "sotto", "hugging face", "openai" or "whisper.cpp"
  std::string format;  // "hf", "ct2", "openai", "ggml" or "gguf"
  uint64_t bytes = 0;
};

// Looks for `ref` in this order: SOTTO_MODELS, the Hugging Face cache (its
// own repository, then faster-whisper's, then whisper.cpp's file),
// openai-whisper's cache, whisper.cpp's models/ggml-NAME.bin. A snapshot or a
// file that is not whole is passed over with a warning in the log. Other
// tools' files are looked at only for revision "main" or, in the Hugging Face
// cache, for the named one.
std::optional<FoundModel> FindModel(const ModelRef& ref,
                                    const HubEnvironment& environment);

// Every whole Whisper model in the places above, in their order and then by
// name. A folder that cannot be read counts as empty.
std::vector<FoundModel> ListModels(const HubEnvironment& environment);

// True where the file has this SHA-256. A large file is read once only: the
// answer is remembered in SOTTO_MODELS/.checked with its size and time.
// openai-whisper writes to the final name, so a half file of it is common.
bool CheckedOnce(const std::filesystem::path& file, std::string_view sha256,
                 const HubEnvironment& environment);

}  // namespace sotto
