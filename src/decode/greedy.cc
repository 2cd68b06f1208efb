// SPDX-License-Identifier: MIT
#include "decode/greedy.h"

#include <cmath>
#include <limits>

#include "base/error.h"

namespace sotto {
namespace {

struct Choice {
  int token;
  double logprob;
};

Choice Choose(std::span<const float> logits, double temperature, Random& random,
              size_t n_sampled) {
  const RowMax max = MaxOf(logits);
  if (max.value == -std::numeric_limits<float>::infinity())
    Fail(ErrorCode::kBadInput,
         "suppress_tokens: no token is allowed after {} tokens of a window",
         n_sampled);
  const int token = temperature > 0
                        ? SampleCategorical(logits, temperature, random)
                        : static_cast<int>(max.index);
  const double logprob = LogProbability(logits, max.value, token);
  if (std::isnan(logprob))
    Fail(ErrorCode::kDevice,
         "decode: logits after {} tokens of a window are not all numbers",
         n_sampled);
  return {token, logprob};
}

}  // namespace

Hypothesis DecodeGreedy(const SearchTask& task, double temperature,
                        Random& random) {
  const int eot = task.tokens.eot;
  Hypothesis result;
  result.temperature = temperature;
  // Also bounds the loop where a caller asks for more than the context holds.
  const int room =
      task.n_text_ctx + 1 - static_cast<int>(task.prompt.tokens.size());
  const int most = std::min(task.sample_len, room);
  result.tokens.reserve(static_cast<size_t>(std::max(most, 0)));

  std::span<float> sot_logits;
  std::span<float> logits = task.source.Prefill(
      task.prompt.tokens, task.prompt.sot_index, &sot_logits);
  SOTTO_CHECK(logits.size() == static_cast<size_t>(task.tokens.n_vocab));
  // Before the rules, which may write into the same row.
  if (task.tokens.no_speech >= 0) {
    result.no_speech_prob = Probability(sot_logits, task.tokens.no_speech);
    if (std::isnan(result.no_speech_prob))
      Fail(ErrorCode::kDevice,
           "decode: logits at the start of a window are not all numbers");
  }

  for (int i = 0; i < most; ++i) {
    for (const auto& rule : task.rules) rule->Apply(result.tokens, logits);
    const Choice choice =
        Choose(logits, temperature, random, result.tokens.size());
    result.sum_logprob += choice.logprob;
    if (choice.token == eot) break;
    result.tokens.push_back(choice.token);
    if (i + 1 < most) logits = task.source.Step(choice.token);
  }
  result.avg_logprob =
      result.sum_logprob / static_cast<double>(result.tokens.size() + 1);
  return result;
}

}  // namespace sotto
