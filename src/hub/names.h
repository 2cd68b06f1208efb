// SPDX-License-Identifier: MIT
// Model names: the short ones people know, org/name on the hub, and where
// other tools keep the same weights.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace sotto {

// One model that has a short name. Immutable, lives for ever.
struct ModelName {
  std::string_view name;        // "large-v3-turbo"
  std::string_view alias;       // "turbo"; may be empty
  std::string_view repository;  // with safetensors: what `pull` takes
  std::string_view ct2;         // faster-whisper's repository of it
  // The file <name>.pt of openai-whisper and its checksum, which stands in
  // the public addresses of openai/whisper's __init__.py. Empty: none exists.
  std::string_view openai_sha256;
  // Quantised files ggml-NAME-Q.bin in ggerganov/whisper.cpp: "q5_1 q8_0".
  std::string_view quants;
  // False where ggerganov/whisper.cpp has no ggml-NAME.bin.
  bool ggml = true;
};

inline constexpr std::string_view kGgmlRepository = "ggerganov/whisper.cpp";

std::span<const ModelName> ModelNames();
// By name or alias; null where unknown.
const ModelName* FindModelName(std::string_view name);
// Every name and alias, for help, completion and did-you-mean.
std::span<const std::string_view> AllModelNames();

// What the user asked for, once it is known not to be a path.
struct ModelRef {
  const ModelName* known = nullptr;  // set for short names
  std::string quant;                 // "q5_1" of tiny-q5_1
  std::string repository;            // "org/name"
  std::string revision = "main";
  std::string file;  // the one file wanted of the repository; else empty

  // As the user writes it: "tiny", "tiny-q5_1", "org/name@rev/file.bin".
  std::string Text() const;
  // The folder below SOTTO_MODELS: NAME or org--name, with @rev if given.
  std::string Folder() const;
};

// Reads NAME, whisper-NAME, NAME-QUANT, ggml-NAME[-QUANT][.bin], org/name, each
// of them with @revision if wanted, and org/name[@revision]/file.{bin,pt,gguf}.
// Nothing for other text, such as a path or a misspelt name.
std::optional<ModelRef> ParseModelRef(std::string_view text);
// The same, but throws kNotFound with a did-you-mean (kBadInput for "").
ModelRef RequireModelRef(std::string_view text);

// True for a name that may be joined to a folder of ours: relative, of plain
// components (no "..", ".", empty, hidden parts, backslash or control
// character), each at most 255 bytes. `allow_hidden` admits ".gitattributes".
bool IsSafeRelativePath(std::string_view path, bool allow_hidden = false);

// Text of a stranger, quoted, in one line of at most 200 plain characters.
std::string Printable(std::string_view text);

}  // namespace sotto
