// SPDX-License-Identifier: MIT
#include "decode/fallback.h"

#include <cmath>
#include <utility>

#include "base/error.h"
#include "text/compression_ratio.h"

namespace sotto {

bool NeedsFallback(const Hypothesis& attempt, const FallbackOptions& options) {
  const bool unlikely = options.logprob_threshold &&
                        attempt.avg_logprob < *options.logprob_threshold;
  const bool silent = options.no_speech_threshold &&
                      attempt.no_speech_prob > *options.no_speech_threshold;
  // Silence overrules repetition too: so it is in OpenAI's code.
  if (silent && unlikely) return false;
  const bool repetitive =
      options.compression_ratio_threshold &&
      attempt.compression_ratio > *options.compression_ratio_threshold;
  return repetitive || unlikely;
}

bool IsSilence(const Hypothesis& result, const FallbackOptions& options) {
  if (!options.no_speech_threshold) return false;
  const bool likely = options.logprob_threshold &&
                      result.avg_logprob > *options.logprob_threshold;
  return !likely && result.no_speech_prob > *options.no_speech_threshold;
}

Hypothesis DecodeWithFallback(const SearchTask& task,
                              const FallbackOptions& options,
                              const TextOf& text_of, uint64_t seed,
                              uint64_t stream) {
  if (options.temperatures.empty())
    Fail(ErrorCode::kBadInput,
         "temperature: the list is empty, want at least one");
  Hypothesis result;
  uint64_t attempt = 0;
  for (const double temperature : options.temperatures) {
    Random random(seed, (stream << 16) + attempt++);
    result = DecodeGreedy(task, temperature, random);
    const std::string decoded = text_of(result.tokens);
    result.compression_ratio = CompressionRatio(StripSpace(decoded));
    if (!NeedsFallback(result, options)) break;
  }
  return result;
}

WindowDecoder::WindowDecoder(SearchOptions search, FallbackOptions fallback,
                             SpecialTokens tokens, TextOf text_of,
                             int n_text_ctx, int n_audio_ctx)
    : search_(std::move(search)),
      fallback_(std::move(fallback)),
      tokens_(std::move(tokens)),
      text_of_(std::move(text_of)),
      n_text_ctx_(n_text_ctx),
      rules_(BuildRules(search_, tokens_, n_audio_ctx)) {
  for (const double temperature : fallback_.temperatures)
    if (!(temperature >= 0) || !std::isfinite(temperature))
      Fail(ErrorCode::kBadInput,
           "temperature: {} is no temperature, want 0 or more", temperature);
  if (search_.sample_len < 0)
    Fail(ErrorCode::kBadInput, "sample_len: {} is no length, want 1 or more",
         search_.sample_len);
}

Hypothesis WindowDecoder::Decode(LogitSource& source,
                                 std::span<const int> previous,
                                 int language_token, int seek) const {
  const Prompt prompt =
      BuildPrompt(search_, tokens_, language_token, previous, n_text_ctx_);
  const SearchTask task{
      source,     prompt, rules_, tokens_, SampleLength(search_, n_text_ctx_),
      n_text_ctx_};
  return DecodeWithFallback(task, fallback_, text_of_, search_.seed,
                            static_cast<uint64_t>(seek));
}

}  // namespace sotto
