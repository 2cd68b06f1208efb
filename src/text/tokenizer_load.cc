// SPDX-License-Identifier: MIT
// Which file a tokenizer is made of.
#include <algorithm>

#include "base/error.h"
#include "base/file.h"
#include "text/shipped.h"
#include "text/tokenizer.h"

namespace sotto {
namespace {

namespace fs = std::filesystem;

// A rank file of OpenAI's, from its folder or shipped.
Vocabulary Ranks(const fs::path& folder, int n_vocab, bool from_folder) {
  const std::string name =
      IsMultilingual(n_vocab) ? "multilingual.tiktoken" : "gpt2.tiktoken";
  if (!from_folder)
    return ParseTiktoken(ShippedFile("tokenizers/" + name), "shipped " + name);
  fs::path path = folder / name;
  if (!fs::exists(path)) {
    // One rank file under another name is meant, too; of several, none is.
    std::vector<fs::path> others;
    for (const auto& entry : fs::directory_iterator(folder))
      if (entry.path().extension() == ".tiktoken")
        others.push_back(entry.path());
    if (others.size() != 1)
      Fail(ErrorCode::kBadInput, "{}: {} rank files, want {} among them",
           folder.string(), others.size(), name);
    path = others.front();
  }
  return ParseTiktoken(ReadFile(path, size_t{64} << 20), path.string());
}

bool HasRanks(const fs::path& folder) {
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored))
    if (entry.path().extension() == ".tiktoken") return true;
  return false;
}

// Some ggml files were written with every broken character as U+FFFD, so
// their tokens of single bytes are lost. They are OpenAI's vocabularies:
// where all the whole tokens agree with the shipped ranks, those are meant.
bool AgreesWith(const Vocabulary& shipped,
                std::span<const std::string> tokens) {
  const size_t count =
      std::min(tokens.size(), static_cast<size_t>(shipped.size()));
  if (count < 50000) return false;
  size_t whole = 0;
  for (size_t i = 0; i < count; ++i) {
    if (tokens[i].find("\xEF\xBF\xBD") != std::string::npos) continue;
    if (shipped.Bytes(static_cast<int>(i)) != tokens[i]) return false;
    ++whole;
  }
  return whole > count / 2;
}

Vocabulary FromCheckpoint(std::span<const std::string> tokens, int n_vocab) {
  const bool lossy = std::any_of(
      tokens.begin(), tokens.end(),
      [](const std::string& token) { return token == "\xEF\xBF\xBD"; });
  if (lossy) {
    Vocabulary shipped = Ranks({}, n_vocab, false);
    if (AgreesWith(shipped, tokens)) return shipped;
  }
  return FromTokenList(tokens, "the checkpoint's tokens");
}

Vocabulary Choose(const fs::path& folder, std::span<const std::string> tokens,
                  int n_vocab) {
  const auto has = [&folder](const char* name) {
    std::error_code ignored;
    return !folder.empty() && fs::exists(folder / name, ignored);
  };
  if (has("tokenizer.json"))
    return ReadTokenizerJson(folder / "tokenizer.json");
  if (has("vocab.json") && has("merges.txt")) return ReadVocabAndMerges(folder);
  if (!folder.empty() && HasRanks(folder)) return Ranks(folder, n_vocab, true);
  for (const char* name : {"vocabulary.json", "vocabulary.txt"})
    if (has(name)) return ReadVocabularyList(folder / name);
  if (!tokens.empty()) return FromCheckpoint(tokens, n_vocab);
  return Ranks({}, n_vocab, false);
}

}  // namespace

std::shared_ptr<const Tokenizer> Tokenizer::Load(
    const fs::path& folder, std::span<const std::string> tokens, int n_vocab) {
  return std::make_shared<const Tokenizer>(Choose(folder, tokens, n_vocab),
                                           n_vocab);
}

}  // namespace sotto
