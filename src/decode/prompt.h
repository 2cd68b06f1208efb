// SPDX-License-Identifier: MIT
// What a window's decoding starts from.
#pragma once

#include <span>
#include <vector>

#include "decode/options.h"
#include "decode/special_tokens.h"

namespace sotto {

struct Prompt {
  std::vector<int> tokens;
  int sot_index = 0;  // where <|startoftranscript|> stands in `tokens`
};

// <|startoftranscript|>, for a multilingual model the language and the task,
// and <|notimestamps|> where the options ask for it. `language_token` is not
// looked at for an English-only model.
std::vector<int> SotSequence(const SearchOptions& options,
                             const SpecialTokens& tokens, int language_token);

// <|startofprev|> and the last n_text_ctx / 2 - 1 tokens of `previous` where
// it is not empty, the sot sequence, the last n_text_ctx / 2 - sample_len
// tokens of the prefix. As in OpenAI's slices a bound of 0 keeps the whole
// prefix, a bound of -n drops its first n. Throws kBadInput where the prompt
// leaves no room in the text context.
Prompt BuildPrompt(const SearchOptions& options, const SpecialTokens& tokens,
                   int language_token, std::span<const int> previous,
                   int n_text_ctx);

// sample_len of the options, or half the text context.
int SampleLength(const SearchOptions& options, int n_text_ctx);

// tokens[-n:] of Python: the last n; all for n = 0; all but the first -n for
// n < 0.
std::span<const int> PythonTail(std::span<const int> tokens, int n);

}  // namespace sotto
