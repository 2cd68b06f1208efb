// SPDX-License-Identifier: MIT
// Which language a window is spoken in.
#pragma once

#include <span>
#include <vector>

#include "decode/search.h"
#include "decode/special_tokens.h"

namespace sotto {

struct LanguageProbability {
  int index = 0;  // in SpecialTokens::language_tokens
  int token = 0;
  double probability = 0;
};

// All languages of the model, likeliest first, equal ones in the order of the
// table; probabilities over the language tokens alone. `logits`: the row after
// <|startoftranscript|>.
std::vector<LanguageProbability> RankLanguages(std::span<const float> logits,
                                               const SpecialTokens& tokens);

// The same for the window that `source` holds. Throws kBadInput for an
// English-only model.
std::vector<LanguageProbability> DetectLanguage(LogitSource& source,
                                                const SpecialTokens& tokens);

}  // namespace sotto
