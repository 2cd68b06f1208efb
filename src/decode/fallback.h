// SPDX-License-Identifier: MIT
// Trying a window again at a higher temperature where the text looks wrong.
#pragma once

#include <cstdint>
#include <span>

#include "decode/greedy.h"
#include "decode/options.h"
#include "decode/search.h"
#include "decode/text_of.h"

namespace sotto {

// Whether the attempt has failed: repetition or low log-probability, unless it
// looks like silence. As decode_with_fallback of OpenAI's transcribe.py.
bool NeedsFallback(const Hypothesis& attempt, const FallbackOptions& options);

// Whether a window's result is silence and nothing of it is written.
bool IsSilence(const Hypothesis& result, const FallbackOptions& options);

// Decodes at each temperature in turn until an attempt is good enough; else
// the last attempt stands. `stream` tells windows of one file apart (its first
// frame): attempt i of a window draws from its own random numbers, whatever was
// decoded before. Throws kBadInput where there is no temperature.
Hypothesis DecodeWithFallback(const SearchTask& task,
                              const FallbackOptions& options,
                              const TextOf& text_of, uint64_t seed,
                              uint64_t stream);

// The whole of one window, with what stays the same for all of a file. Const;
// threads may share it.
class WindowDecoder {
 public:
  // `n_text_ctx`, `n_audio_ctx`: positions of decoder and encoder.
  WindowDecoder(SearchOptions search, FallbackOptions fallback,
                SpecialTokens tokens, TextOf text_of, int n_text_ctx,
                int n_audio_ctx);
  // `previous`: the text before the window, as WindowCursor::PreviousText
  // gives it. Throws as BuildPrompt and DecodeGreedy.
  Hypothesis Decode(LogitSource& source, std::span<const int> previous,
                    int language_token, int seek) const;
  const SpecialTokens& tokens() const { return tokens_; }
  const RuleList& rules() const { return rules_; }

 private:
  SearchOptions search_;
  FallbackOptions fallback_;
  SpecialTokens tokens_;
  TextOf text_of_;
  int n_text_ctx_;
  RuleList rules_;
};

}  // namespace sotto
