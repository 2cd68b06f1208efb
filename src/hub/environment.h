// SPDX-License-Identifier: MIT
// Everything that `hub` takes from the process's environment, read once, so
// that a test or a program can give other values.
#pragma once

#include <filesystem>
#include <functional>
#include <string>

namespace sotto {

// Where models lie and how the hub is reached. A plain value.
struct HubEnvironment {
  // Sotto's own models: SOTTO_MODELS, else ~/.cache/sotto/models.
  std::filesystem::path models;
  // The Hugging Face cache: HF_HUB_CACHE, HUGGINGFACE_HUB_CACHE, HF_HOME/hub,
  // else huggingface/hub in XDG_CACHE_HOME or ~/.cache.
  std::filesystem::path hub_cache;
  // openai-whisper's .pt files: whisper in XDG_CACHE_HOME or ~/.cache.
  std::filesystem::path openai_cache;
  // whisper.cpp looks for models/ggml-NAME.bin below the current folder.
  std::filesystem::path ggml_models;
  // HF_ENDPOINT without a slash at its end.
  std::string endpoint = "https://huggingface.co";
  // HF_TOKEN (or HUGGING_FACE_HUB_TOKEN), else the file HF_TOKEN_PATH or
  // HF_HOME/token, which HF_HUB_DISABLE_IMPLICIT_TOKEN forbids. May be empty.
  std::string token;
  // HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE: no request is ever sent.
  bool offline = false;

  // Returns the value of a variable or null.
  using Lookup = std::function<const char*(const char*)>;
  // Names and precedence are huggingface_hub's (its constants.py) and
  // openai-whisper's (its load_model).
  static HubEnvironment Read(const Lookup& lookup);
  // From the process. Not to be called while another thread sets variables.
  static HubEnvironment Read();
};

}  // namespace sotto
