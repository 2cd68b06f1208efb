// SPDX-License-Identifier: MIT
// DecodePlan: a user's Options in the terms of one model: tokens in place of
// text, a ladder in place of a temperature.
#pragma once

#include <string>
#include <string_view>

#include "decode/fallback.h"
#include "decode/options.h"
#include "decode/special_tokens.h"
#include "decode/text_of.h"
#include "engine/options.h"
#include "text/tokenizer.h"

namespace sotto {

struct DecodePlan {
  SearchOptions search;
  FallbackOptions fallback;
  LongFormOptions long_form;
  // Code, as "en"; empty where it is to be detected.
  std::string language;
  // Seconds of the file before the first sample heard; added to all times.
  double offset = 0;
};

// The tokenizer's special tokens as plain numbers. `n_vocab`: the model's rows
// of logits, which may be more than the tokenizer knows.
SpecialTokens SpecialTokensOf(const Tokenizer& tokenizer, int n_vocab);
// Borrows the tokenizer.
TextOf TextOfTokens(const Tokenizer& tokenizer);

// Throws kBadInput naming the option and its value: an unknown language, a
// translation asked of an English-only model, a token id out of range.
DecodePlan MakeDecodePlan(const Options& options, const Tokenizer& tokenizer);


}  // namespace sotto
