// SPDX-License-Identifier: MIT
// The ids of Whisper's special tokens: from the file where it has them, else
// from OpenAI's fixed layout.
#pragma once

#include <string_view>
#include <utility>
#include <vector>

#include "text/vocabulary.h"

namespace sotto {

struct SpecialTokenIds {
  int eot = -1;  // <|endoftext|>
  int sot = -1;  // <|startoftranscript|>
  int translate = -1;
  int transcribe = -1;
  int sot_lm = -1;
  int sot_prev = -1;
  int no_speech = -1;  // <|nospeech|>, in other files <|nocaptions|>
  int no_timestamps = -1;
  int timestamp_begin = -1;  // <|0.00|>; 1500 more follow it
  // Code and id, in the order of the ids.
  std::vector<std::pair<std::string_view, int>> languages;
};

inline constexpr int kTimestampTokens = 1501;  // 0.00 to 30.00 s by 0.02 s

// As OpenAI counts: 51865 and more tokens is multilingual.
inline bool IsMultilingual(int n_vocab) { return n_vocab >= 51865; }

// OpenAI's order after the last text token: eot, sot, languages (99, or 100
// where n_vocab has room for one more), translate, transcribe, sot_lm,
// sot_prev, no_speech, no_timestamps, timestamps. `first` is the id of eot:
// 50256 for English-only vocabularies, else 50257.
SpecialTokenIds OpenAiLayout(int first, int n_languages);

// "<|startoftranscript|>" for its id; empty for a language, a timestamp or a
// text token.
std::string_view SpecialTokenName(const SpecialTokenIds& ids, int token);

// Throws kBadInput, naming the source, where a token is in neither the file
// nor a layout that fits n_vocab, its id is not below n_vocab, or the file has
// more tokens of text than the layout leaves room for.
SpecialTokenIds FindSpecialTokens(const Vocabulary& vocabulary, int n_vocab);

}  // namespace sotto
