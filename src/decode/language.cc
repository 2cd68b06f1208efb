// SPDX-License-Identifier: MIT
#include "decode/language.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"

namespace sotto {

std::vector<LanguageProbability> RankLanguages(std::span<const float> logits,
                                               const SpecialTokens& tokens) {
  const auto logit = [&](int token) {
    return static_cast<double>(logits[static_cast<size_t>(token)]);
  };
  double max = -std::numeric_limits<double>::infinity();
  for (const int token : tokens.language_tokens)
    max = std::max(max, logit(token));
  std::vector<LanguageProbability> ranked;
  double total = 0;
  for (const int token : tokens.language_tokens) {
    const double term = std::exp(logit(token) - max);
    ranked.push_back({static_cast<int>(ranked.size()), token, term});
    total += term;
  }
  if (!(total > 0))
    Fail(ErrorCode::kDevice,
         "language detection: the logits of the languages are not numbers");
  for (LanguageProbability& language : ranked) language.probability /= total;
  std::stable_sort(ranked.begin(), ranked.end(),
                   [](const auto& a, const auto& b) {
                     return a.probability > b.probability;
                   });
  return ranked;
}

std::vector<LanguageProbability> DetectLanguage(LogitSource& source,
                                                const SpecialTokens& tokens) {
  if (!tokens.multilingual || tokens.language_tokens.empty())
    Fail(ErrorCode::kBadInput,
         "language detection: the model is English-only, want a multilingual "
         "one");
  const int prompt[] = {tokens.sot};
  return RankLanguages(source.Prefill(prompt, -1, nullptr), tokens);
}

}  // namespace sotto
