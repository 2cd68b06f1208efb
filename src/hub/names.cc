// SPDX-License-Identifier: MIT
#include "hub/names.h"

#include <algorithm>
#include <array>
#include <vector>

#include "base/did_you_mean.h"
#include "base/error.h"

namespace sotto {
namespace {

constexpr std::array kNames = std::to_array<ModelName>({
    {.name = "tiny.en",
     .alias = "",
     .repository = "openai/whisper-tiny.en",
     .ct2 = "Systran/faster-whisper-tiny.en",
     .openai_sha256 = "d3dd57d32accea0b295c96e26691aa14d8822fac7d9d27d5dc00b4ca"
                      "2826dd03",
     .quants = "q5_1 q8_0"},
    {.name = "tiny",
     .alias = "",
     .repository = "openai/whisper-tiny",
     .ct2 = "Systran/faster-whisper-tiny",
     .openai_sha256 = "65147644a518d12f04e32d6f3b26facc3f8dd46e5390956a9424a650"
                      "c0ce22b9",
     .quants = "q5_1 q8_0"},
    {.name = "base.en",
     .alias = "",
     .repository = "openai/whisper-base.en",
     .ct2 = "Systran/faster-whisper-base.en",
     .openai_sha256 = "25a8566e1d0c1e2231d1c762132cd20e0f96a85d16145c3a00adf5d1"
                      "ac670ead",
     .quants = "q5_1 q8_0"},
    {.name = "base",
     .alias = "",
     .repository = "openai/whisper-base",
     .ct2 = "Systran/faster-whisper-base",
     .openai_sha256 = "ed3a0b6b1c0edf879ad9b11b1af5a0e6ab5db9205f891f668f8b0e6c"
                      "6326e34e",
     .quants = "q5_1 q8_0"},
    {.name = "small.en",
     .alias = "",
     .repository = "openai/whisper-small.en",
     .ct2 = "Systran/faster-whisper-small.en",
     .openai_sha256 = "f953ad0fd29cacd07d5a9eda5624af0f6bcf2258be67c92b79389873"
                      "d91e0872",
     .quants = "q5_1 q8_0"},
    {.name = "small",
     .alias = "",
     .repository = "openai/whisper-small",
     .ct2 = "Systran/faster-whisper-small",
     .openai_sha256 = "9ecf779972d90ba49c06d968637d720dd632c55bbf19d441fb42bf17"
                      "a411e794",
     .quants = "q5_1 q8_0"},
    {.name = "medium.en",
     .alias = "",
     .repository = "openai/whisper-medium.en",
     .ct2 = "Systran/faster-whisper-medium.en",
     .openai_sha256 = "d7440d1dc186f76616474e0ff0b3b6b879abc9d1a4926b7adfa41db2"
                      "d497ab4f",
     .quants = "q5_0 q8_0"},
    {.name = "medium",
     .alias = "",
     .repository = "openai/whisper-medium",
     .ct2 = "Systran/faster-whisper-medium",
     .openai_sha256 = "345ae4da62f9b3d59415adc60127b97c714f32e89e936602e8599367"
                      "4d08dcb1",
     .quants = "q5_0 q8_0"},
    {.name = "large-v1",
     .alias = "",
     .repository = "openai/whisper-large",
     .ct2 = "Systran/faster-whisper-large-v1",
     .openai_sha256 = "e4b87e7e0bf463eb8e6956e646f1e277e901512310def2c24bf0e11b"
                      "d3c28e9a",
     .quants = ""},
    {.name = "large-v2",
     .alias = "",
     .repository = "openai/whisper-large-v2",
     .ct2 = "Systran/faster-whisper-large-v2",
     .openai_sha256 = "81f7c96c852ee8fc832187b0132e569d6c3065a3252ed18e56effd0b"
                      "6a73e524",
     .quants = "q5_0 q8_0"},
    {.name = "large-v3",
     .alias = "large",
     .repository = "openai/whisper-large-v3",
     .ct2 = "Systran/faster-whisper-large-v3",
     .openai_sha256 = "e5b1a55b89c1367dacf97e3e19bfd829a01529dbfdeefa8caeb59b3f"
                      "1b81dadb",
     .quants = "q5_0"},
    {.name = "large-v3-turbo",
     .alias = "turbo",
     .repository = "openai/whisper-large-v3-turbo",
     .ct2 = "mobiuslabsgmbh/faster-whisper-large-v3-turbo",
     .openai_sha256 = "aff26ae408abcba5fbf8813c21e62b0941638c5f6eebfb145be0c983"
                      "9262a19a",
     .quants = "q5_0 q8_0"},
    {.name = "distil-small.en",
     .alias = "",
     .repository = "distil-whisper/distil-small.en",
     .ct2 = "Systran/faster-distil-whisper-small.en",
     .openai_sha256 = "",
     .quants = "",
     .ggml = false},
    {.name = "distil-medium.en",
     .alias = "",
     .repository = "distil-whisper/distil-medium.en",
     .ct2 = "Systran/faster-distil-whisper-medium.en",
     .openai_sha256 = "",
     .quants = "",
     .ggml = false},
    {.name = "distil-large-v2",
     .alias = "",
     .repository = "distil-whisper/distil-large-v2",
     .ct2 = "Systran/faster-distil-whisper-large-v2",
     .openai_sha256 = "",
     .quants = "",
     .ggml = false},
    {.name = "distil-large-v3",
     .alias = "",
     .repository = "distil-whisper/distil-large-v3",
     .ct2 = "Systran/faster-distil-whisper-large-v3",
     .openai_sha256 = "",
     .quants = "",
     .ggml = false},
    {.name = "distil-large-v3.5",
     .alias = "",
     .repository = "distil-whisper/distil-large-v3.5",
     .ct2 = "distil-whisper/distil-large-v3.5-ct2",
     .openai_sha256 = "",
     .quants = "",
     .ggml = false},
});

bool IsWordChar(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
}

// One part of org/name by the hub's rule: letters, digits, '.', '_', '-', at
// most 96, no ".." and no "--" (which its cache folders use as separator).
bool IsRepositoryPart(std::string_view part) {
  return !part.empty() && part.size() <= 96 && part.front() != '.' &&
         part.front() != '-' && part.back() != '.' && part.back() != '-' &&
         part.find("..") == std::string_view::npos &&
         part.find("--") == std::string_view::npos &&
         std::all_of(part.begin(), part.end(), IsWordChar);
}

// A branch, a tag, a commit or "refs/pr/1".
bool IsRevision(std::string_view text) {
  return text.size() <= 200 && IsSafeRelativePath(text) &&
         std::all_of(text.begin(), text.end(),
                     [](char c) { return IsWordChar(c) || c == '/'; });
}

bool HasQuant(const ModelName& name, std::string_view quant) {
  const std::string_view list = name.quants;
  for (size_t at = 0; at < list.size();) {
    const size_t end = std::min(list.find(' ', at), list.size());
    if (list.substr(at, end - at) == quant) return true;
    at = end + 1;
  }
  return false;
}

bool IsWeightFile(std::string_view file) {
  return file.ends_with(".bin") || file.ends_with(".pt") ||
         file.ends_with(".gguf");
}

// NAME, NAME-QUANT and ggml-NAME[-QUANT][.bin].
std::optional<ModelRef> ParseShortName(std::string_view text) {
  ModelRef ref;
  if (const ModelName* known = FindModelName(text); known != nullptr) {
    ref.known = known;
    ref.repository = known->repository;
    return ref;
  }
  // As its repository is called.
  constexpr std::string_view kWhisper = "whisper-";
  if (text.starts_with(kWhisper) &&
      FindModelName(text.substr(kWhisper.size())) != nullptr)
    return ParseShortName(text.substr(kWhisper.size()));
  const bool ggml = text.starts_with("ggml-");
  if (ggml) {
    text.remove_prefix(5);
    if (text.ends_with(".bin")) text.remove_suffix(4);
    ref.known = FindModelName(text);
    if (ref.known != nullptr && !ref.known->ggml) return std::nullopt;
  }
  if (ref.known == nullptr) {
    const size_t dash = text.rfind('-');
    if (dash == std::string_view::npos) return std::nullopt;
    ref.known = FindModelName(text.substr(0, dash));
    ref.quant = text.substr(dash + 1);
    if (ref.known == nullptr || !HasQuant(*ref.known, ref.quant))
      return std::nullopt;
  }
  ref.repository = kGgmlRepository;
  ref.file = "ggml-" + std::string(ref.known->name) +
             (ref.quant.empty() ? "" : "-" + ref.quant) + ".bin";
  return ref;
}

// Nobody who writes this means org/name on the hub.
bool LooksLikePath(std::string_view text) {
  return text.starts_with('/') || text.starts_with("./") ||
         text.starts_with("../") || text.starts_with("~") ||
         text.ends_with('/') || text == "." || text == "..";
}

}  // namespace

std::span<const ModelName> ModelNames() { return kNames; }

const ModelName* FindModelName(std::string_view name) {
  if (name.empty()) return nullptr;
  for (const ModelName& row : kNames)
    if (row.name == name || row.alias == name) return &row;
  return nullptr;
}

std::span<const std::string_view> AllModelNames() {
  static const std::vector<std::string_view> names = [] {
    std::vector<std::string_view> list;
    for (const ModelName& row : kNames) {
      list.push_back(row.name);
      if (!row.alias.empty()) list.push_back(row.alias);
    }
    return list;
  }();
  return names;
}

bool IsSafeRelativePath(std::string_view path, bool allow_hidden) {
  if (path.empty() || path.size() > 1024) return false;
  for (size_t at = 0; at <= path.size();) {
    const size_t end = std::min(path.find('/', at), path.size());
    const std::string_view part = path.substr(at, end - at);
    if (part.empty() || part == "." || part == ".." || part.size() > 255 ||
        (part.front() == '.' && !allow_hidden))
      return false;
    for (const char c : part)
      if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f || c == '\\')
        return false;
    at = end + 1;
  }
  return true;
}

std::string Printable(std::string_view text) {
  std::string quoted = "'";
  for (const char c : text.substr(0, 200))
    quoted += c < ' ' || c >= 0x7f ? '?' : c;
  return quoted + (text.size() > 200 ? "...'" : "'");
}

std::string ModelRef::Text() const {
  const std::string tail = revision == "main" ? "" : "@" + revision;
  if (known != nullptr)
    return (file.empty()    ? std::string(known->name)
            : quant.empty() ? "ggml-" + std::string(known->name)
                            : std::string(known->name) + "-" + quant) +
           tail;
  return repository + tail + (file.empty() ? "" : "/" + file);
}

std::string ModelRef::Folder() const {
  std::string folder;
  if (known != nullptr) {
    ModelRef plain = *this;
    plain.revision = "main";
    folder = plain.Text();
  } else {
    folder = repository;
    folder.replace(folder.find('/'), 1, "--");
  }
  if (revision == "main") return folder;
  folder += "@" + revision;
  for (size_t at; (at = folder.find('/')) != std::string::npos;)
    folder.replace(at, 1, "--");
  return folder;
}

std::optional<ModelRef> ParseModelRef(std::string_view text) {
  // org/name/file is split first: the file's name may hold an '@'.
  std::string_view file;
  const size_t slash = text.find('/');
  if (slash != std::string_view::npos) {
    const size_t second = text.find('/', slash + 1);
    if (second != std::string_view::npos) {
      file = text.substr(second + 1);
      // org/name@refs/pr/1 has slashes too, and is no file.
      if (IsWeightFile(file)) {
        text = text.substr(0, second);
        // CTranslate2's weights are of no use without the files beside them.
        if (file == "model.bin") file = {};
      } else {
        file = {};
      }
    }
  }
  std::string revision = "main";
  if (const size_t at = text.find('@'); at != std::string_view::npos) {
    revision = text.substr(at + 1);
    text = text.substr(0, at);
    if (!IsRevision(revision)) return std::nullopt;
  }
  std::optional<ModelRef> ref;
  if (slash == std::string_view::npos) {
    ref = ParseShortName(text);
  } else if (text.find('/') == slash &&
             IsRepositoryPart(text.substr(0, slash)) &&
             IsRepositoryPart(text.substr(slash + 1)) &&
             (file.empty() || IsSafeRelativePath(file))) {
    ref.emplace();
    ref->repository = text;
    ref->file = file;
  }
  if (ref) ref->revision = revision;
  return ref;
}

ModelRef RequireModelRef(std::string_view text) {
  if (text.empty())
    Fail(ErrorCode::kBadInput, "model '': want a name, a path or org/name");
  std::optional<ModelRef> ref;
  if (!LooksLikePath(text)) ref = ParseModelRef(text);
  if (!ref)
    Fail(ErrorCode::kNotFound, "model {}: no such file, folder or model name{}",
         Printable(text), DidYouMean(text, AllModelNames()));
  return *ref;
}

}  // namespace sotto
