// SPDX-License-Identifier: MIT
// Tokenizer: text to token ids and back, and what the special ids mean.
#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "text/bpe.h"
#include "text/special_tokens.h"
#include "text/task.h"
#include "text/vocabulary.h"

namespace sotto {

// A word (or sign) and the tokens it is made of.
struct WordTokens {
  std::string text;
  std::vector<int> tokens;
};

// Const after construction, shared, read by any thread.
class Tokenizer {
 public:
  // The tokenizer of the model whose files stand in `folder` (may be empty)
  // or whose checkpoint holds `tokens` in id order (may be empty). Takes the
  // first there is of: tokenizer.json, vocab.json with merges.txt, *.tiktoken,
  // vocabulary.json|txt, `tokens`, OpenAI's ranks shipped with Sotto. Throws
  // kBadInput naming the file and the cause.
  static std::shared_ptr<const Tokenizer> Load(
      const std::filesystem::path& folder, std::span<const std::string> tokens,
      int n_vocab);

  // From a vocabulary already read. `n_vocab` is the model's, timestamps
  // included.
  Tokenizer(Vocabulary vocabulary, int n_vocab);
  Tokenizer(const Tokenizer&) = delete;
  Tokenizer& operator=(const Tokenizer&) = delete;

  int n_vocab() const { return n_vocab_; }
  // Where the vocabulary came from, for reports: "base/tokenizer.json".
  const std::string& origin() const { return vocabulary_.origin(); }
  bool is_multilingual() const { return IsMultilingual(n_vocab_); }

  int eot() const { return special_.eot; }
  int sot() const { return special_.sot; }
  int translate() const { return special_.translate; }
  int transcribe() const { return special_.transcribe; }
  int sot_lm() const { return special_.sot_lm; }
  int sot_prev() const { return special_.sot_prev; }
  int no_speech() const { return special_.no_speech; }
  int no_timestamps() const { return special_.no_timestamps; }
  int timestamp_begin() const { return special_.timestamp_begin; }
  bool IsTimestamp(int token) const {
    return token >= timestamp_begin() &&
           token < timestamp_begin() + kTimestampTokens;
  }

  // Language token ids in the order of the file; LanguageCodes()[i] is the
  // code of LanguageTokens()[i].
  std::span<const int> LanguageTokens() const { return language_tokens_; }
  std::span<const std::string_view> LanguageCodes() const {
    return language_codes_;
  }
  // The id for a code, name or alias. Throws kBadInput where it is no
  // language, kUnsupported where this model has none such.
  int LanguageToken(std::string_view code_or_name) const;
  // The code of a language token; empty for any other.
  std::string_view LanguageOfToken(int token) const;

  // How a prompt begins: sot, language, task; sot alone for English-only
  // models. An empty language is left out.
  std::vector<int> SotSequence(std::string_view language, Task task) const;

  // Ids of `text`; special tokens written in it are ordinary text.
  std::vector<int> Encode(std::string_view text) const {
    return bpe_.Encode(text);
  }
  // Text of the text tokens; specials and timestamps are dropped, bytes that
  // are no UTF-8 become U+FFFD as in Python's errors="replace".
  std::string Decode(std::span<const int> tokens) const;
  // As Decode, with specials and timestamps written out ("<|1.08|>").
  std::string DecodeWithTimestamps(std::span<const int> tokens) const;
  // The bytes of one text token, maybe a part of a character; empty for
  // specials and timestamps. Valid as long as the tokenizer.
  std::string_view Bytes(int token) const;

  // Tokens of speaker tags and sounds that nobody speaks, sorted; OpenAI's
  // non_speech_tokens.
  std::vector<int> NonSpeechTokens() const;
  // What suppress_tokens "-1" means: the above and transcribe, translate,
  // sot, sot_prev, sot_lm, no_speech; sorted.
  std::vector<int> SuppressedTokens() const;

  // Words with their tokens: cut at spaces, or at every whole character in
  // languages written without spaces (zh ja th lo my yue).
  std::vector<WordTokens> SplitToWordTokens(std::span<const int> tokens,
                                            std::string_view language) const;
  std::vector<WordTokens> SplitTokensOnUnicode(
      std::span<const int> tokens) const;
  std::vector<WordTokens> SplitTokensOnSpaces(
      std::span<const int> tokens) const;

 private:
  // Raw bytes, specials written out.
  void AppendWithSpecials(std::string& out, int token) const;

  const Vocabulary vocabulary_;
  const int n_vocab_;
  const SpecialTokenIds special_;
  const Bpe bpe_;
  std::vector<int> language_tokens_;
  std::vector<std::string_view> language_codes_;
};

}  // namespace sotto
