// SPDX-License-Identifier: MIT
// The simplest search: one hypothesis, one token after the other.
#pragma once

#include "decode/prompt.h"
#include "decode/rules.h"
#include "decode/sample.h"
#include "decode/search.h"
#include "decode/special_tokens.h"

namespace sotto {

// One window to decode: what every search is given. Refers to its parts.
struct SearchTask {
  LogitSource& source;
  const Prompt& prompt;
  const RuleList& rules;
  const SpecialTokens& tokens;
  int sample_len;  // tokens to sample at most
  int n_text_ctx;  // tokens, prompt included, that the decoder takes
};

// Takes the likeliest token at temperature 0 and draws from `random` above,
// until the end of text, `sample_len` tokens or a full text context. Fills
// all of Hypothesis but compression_ratio. Log-probabilities are those after
// the rules and without temperature. A step allocates nothing. Over a row of
// n logits with m timestamps it reads at most 3 n floats (maxima under the
// rules, the maximum of what is left, the sum), writes at most 2 n, and takes
// n + m exponentials; sampling reads 2 n more and takes n more exponentials:
// 21 to 27 us and 41 to 48 us for 51 865 logits (one AVX-512 core, measured).
// Throws kBadInput where the rules leave no token, kDevice where the logits are
// no numbers.
Hypothesis DecodeGreedy(const SearchTask& task, double temperature,
                        Random& random);

}  // namespace sotto
