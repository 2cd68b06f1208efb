// SPDX-License-Identifier: MIT
// Vocabulary: the tokens of one model as a file gives them, before any
// meaning. The readers below fill it; Bpe and Tokenizer are built from it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sotto {

// A merge of two neighbours: `size` bytes at `offset` of the arena, of which
// the first `left_size` are the left one. Its place in the list is its rank.
struct Merge {
  uint32_t offset = 0;
  uint32_t size = 0;
  uint32_t left_size = 0;
};

class Vocabulary {
 public:
  // Ids above this are refused: no Whisper has a quarter of it.
  static constexpr int kMaxTokens = 1 << 20;

  // `origin` names the source in messages: "base/tokenizer.json".
  explicit Vocabulary(std::string origin) : origin_(std::move(origin)) {}

  // Gives token `id` these bytes; the last call for an id counts. Throws
  // kBadInput for an id that cannot be.
  void Add(int64_t id, std::string_view bytes);
  // As Add, and remembers the token as a special one ("<|en|>").
  void AddSpecial(int64_t id, std::string_view text);
  // The next merge. Merges that are never given are implied by the ids.
  void AddMerge(std::string_view left, std::string_view right);
  void set_ignore_merges(bool value) { ignore_merges_ = value; }
  void Reserve(size_t tokens, size_t bytes);

  const std::string& origin() const { return origin_; }
  int size() const { return static_cast<int>(tokens_.size()); }
  // Empty for an id that nothing was given for.
  std::string_view Bytes(int id) const;
  std::string_view MergeBytes(const Merge& merge) const {
    return std::string_view(arena_).substr(merge.offset, merge.size);
  }
  std::span<const Merge> merges() const { return merges_; }
  bool ignore_merges() const { return ignore_merges_; }
  const std::map<std::string, int, std::less<>>& specials() const {
    return specials_;
  }

 private:
  struct Slice {
    uint32_t offset = 0;
    uint32_t size = 0;
  };
  uint32_t Append(std::string_view bytes);

  std::string origin_;
  std::string arena_;
  std::vector<Slice> tokens_;
  std::vector<Merge> merges_;
  std::map<std::string, int, std::less<>> specials_;
  bool ignore_merges_ = false;
};

// True for "<|...|>".
bool LooksSpecial(std::string_view token);

// GPT-2's alphabet writes each byte as one printable character (a space as
// U+0120). Turns such text into bytes; text with a character outside the
// alphabet is no such text and is left as it is. The result is valid until
// the next call with the same `scratch`.
std::string_view BytesOfAlphabet(std::string_view text, std::string& scratch);

// Hugging Face tokenizer.json.
Vocabulary ReadTokenizerJson(const std::filesystem::path& path);
// The same from memory; `origin` names it in messages.
Vocabulary ParseTokenizerJson(std::string_view json, const std::string& origin);

// Hugging Face vocab.json and merges.txt, with added_tokens.json if there.
Vocabulary ReadVocabAndMerges(const std::filesystem::path& folder);

// CTranslate2 vocabulary.json (a list) or vocabulary.txt (a token a line), in
// GPT-2's alphabet and id order.
Vocabulary ReadVocabularyList(const std::filesystem::path& path);

// Lines of "base64 rank", as OpenAI's gpt2.tiktoken. It has no special tokens.
Vocabulary ParseTiktoken(std::string_view text, const std::string& origin);

// Tokens in id order: raw bytes (ggml) or in GPT-2's alphabet (GGUF).
Vocabulary FromTokenList(std::span<const std::string> tokens,
                         const std::string& origin);

}  // namespace sotto
