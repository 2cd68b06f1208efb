// SPDX-License-Identifier: MIT
#include "hub/environment.h"

#include <cstdlib>
#include <string_view>

#include "base/error.h"
#include "base/file.h"

namespace sotto {
namespace {

constexpr size_t kTokenLimit = 4096;

std::string Upper(std::string text) {
  for (char& c : text)
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  return text;
}

std::string Trim(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const size_t first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return "";
  return std::string(
      text.substr(first, text.find_last_not_of(kSpace) - first + 1));
}

// A header line is made of the token: nothing that could end the line.
std::string CleanToken(std::string_view text) {
  std::string token = Trim(text);
  for (const char c : token)
    if (c <= ' ' || c >= 0x7f)
      Fail(ErrorCode::kBadInput,
           "HF_TOKEN holds a space or a control character, want one word");
  return token;
}

struct Reader {
  const HubEnvironment::Lookup& lookup;

  // Empty counts as unset, as it does for shells' ${X:-y}.
  std::string Get(const char* name) const {
    const char* value = lookup(name);
    return value == nullptr ? "" : value;
  }
  std::string First(std::initializer_list<const char*> names) const {
    for (const char* name : names)
      if (std::string value = Get(name); !value.empty()) return value;
    return "";
  }
  bool Flag(const char* name) const {
    const std::string value = Upper(Get(name));
    return value == "1" || value == "ON" || value == "YES" || value == "TRUE";
  }
  std::filesystem::path Home() const {
    const std::string home = Get("HOME");
    return home.empty() ? HomeDirectory() : std::filesystem::path(home);
  }
  // The tools in question expand a leading ~ themselves.
  std::filesystem::path Path(const std::string& text) const {
    if (text == "~") return Home();
    if (text.starts_with("~/")) return Home() / text.substr(2);
    return text;
  }
};

std::string ReadToken(const Reader& read, const std::filesystem::path& home) {
  if (const std::string token =
          read.First({"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"});
      !token.empty())
    return CleanToken(token);
  if (read.Flag("HF_HUB_DISABLE_IMPLICIT_TOKEN")) return "";
  const std::string named = read.Get("HF_TOKEN_PATH");
  const std::filesystem::path path =
      named.empty() ? home / "token" : read.Path(named);
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(path, ignored)) return "";
  try {
    return CleanToken(ReadFile(path, kTokenLimit));
  } catch (const Error&) {
    return "";  // an unreadable login is no login; the hub says what it wants
  }
}

}  // namespace

HubEnvironment HubEnvironment::Read(const Lookup& lookup) {
  const Reader read{lookup};
  const std::string xdg = read.Get("XDG_CACHE_HOME");
  const std::filesystem::path cache =
      xdg.empty() ? read.Home() / ".cache" : read.Path(xdg);

  HubEnvironment environment;
  const std::string models = read.Get("SOTTO_MODELS");
  environment.models = models.empty()
                           ? read.Home() / ".cache" / "sotto" / "models"
                           : read.Path(models);
  const std::string hf_home = read.Get("HF_HOME");
  const std::filesystem::path home =
      hf_home.empty() ? cache / "huggingface" : read.Path(hf_home);
  const std::string hub_cache =
      read.First({"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"});
  environment.hub_cache =
      hub_cache.empty() ? home / "hub" : read.Path(hub_cache);
  environment.openai_cache = cache / "whisper";
  environment.ggml_models = "models";
  if (std::string endpoint = read.Get("HF_ENDPOINT"); !endpoint.empty()) {
    while (endpoint.ends_with('/')) endpoint.pop_back();
    environment.endpoint = endpoint;
  }
  environment.token = ReadToken(read, home);
  environment.offline =
      read.Flag("HF_HUB_OFFLINE") || read.Flag("TRANSFORMERS_OFFLINE");
  return environment;
}

HubEnvironment HubEnvironment::Read() {
  return Read([](const char* name) { return std::getenv(name); });
}

}  // namespace sotto
