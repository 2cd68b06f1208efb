// SPDX-License-Identifier: MIT
#include "decode/rules.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "decode/row_math.h"
#include "decode/segment.h"

namespace sotto {
namespace {

constexpr float kForbidden = -std::numeric_limits<float>::infinity();

void Forbid(std::span<float> logits) {
  std::fill(logits.begin(), logits.end(), kForbidden);
}

void ForbidEach(std::span<const int> tokens, std::span<float> logits) {
  for (const int token : tokens)
    logits[static_cast<size_t>(token)] = kForbidden;
}

std::span<float> From(std::span<float> logits, int first) {
  return logits.subspan(std::min(static_cast<size_t>(first), logits.size()));
}

std::span<float> Before(std::span<float> logits, int end) {
  return logits.first(std::min(static_cast<size_t>(end), logits.size()));
}

}  // namespace

SuppressBlank::SuppressBlank(const SpecialTokens& tokens)
    : suppressed_(tokens.blank) {
  suppressed_.push_back(tokens.eot);
}

void SuppressBlank::Apply(std::span<const int> sampled,
                          std::span<float> logits) const {
  if (sampled.empty()) ForbidEach(suppressed_, logits);
}

void SuppressTokens::Apply(std::span<const int> /*sampled*/,
                           std::span<float> logits) const {
  ForbidEach(suppressed_, logits);
}

TimestampRules::TimestampRules(const SpecialTokens& tokens,
                               std::optional<int> max_initial_index)
    : eot_(tokens.eot),
      no_timestamps_(tokens.no_timestamps),
      timestamp_begin_(tokens.timestamp_begin),
      max_initial_index_(max_initial_index) {}

void TimestampRules::ForbidByHistory(std::span<const int> sampled,
                                     std::span<float> logits) const {
  const auto is_time = [this](int token) { return token >= timestamp_begin_; };
  if (sampled.empty()) {
    Forbid(Before(logits, timestamp_begin_));
    if (max_initial_index_)
      Forbid(From(logits, timestamp_begin_ + *max_initial_index_ + 1));
    return;
  }
  const bool last = is_time(sampled.back());
  const bool before_last =
      sampled.size() < 2 || is_time(sampled[sampled.size() - 2]);
  if (last && before_last) {
    Forbid(From(logits, timestamp_begin_));
  } else if (last) {
    Forbid(Before(logits, eot_));
  }
  const auto latest = std::find_if(sampled.rbegin(), sampled.rend(), is_time);
  if (latest == sampled.rend()) return;
  // The partner of a segment's end may be equal to it; any other timestamp
  // must be later, or a window of empty segments would never move on.
  const int first_allowed = last && !before_last ? *latest : *latest + 1;
  Forbid(From(Before(logits, first_allowed), timestamp_begin_));
}

bool TimestampsPrevail(std::span<const float> times,
                       std::span<const float> others) {
  const float max_time = MaxOf(times).value;
  const float max_other = MaxOf(others).value;
  if (max_time == kForbidden) return false;
  // n terms of at most max_time add up to at most max_time + log n; the margin
  // is for rounding.
  const double most = static_cast<double>(max_time) +
                      std::log(static_cast<double>(times.size())) + 1e-3;
  if (most < static_cast<double>(max_other)) return false;
  if (max_time > max_other) return true;
  return static_cast<double>(max_time) + std::log(SumExp(times, max_time)) >
         static_cast<double>(max_other);
}

bool TimestampRules::TimestampsPrevail(std::span<const float> logits) const {
  // OpenAI compares log-probabilities; their common normaliser cancels.
  const size_t begin = static_cast<size_t>(timestamp_begin_);
  return sotto::TimestampsPrevail(logits.subspan(begin), logits.first(begin));
}

void TimestampRules::Apply(std::span<const int> sampled,
                           std::span<float> logits) const {
  // <|notimestamps|> belongs to the prompt, which without_timestamps decides.
  if (no_timestamps_ >= 0)
    logits[static_cast<size_t>(no_timestamps_)] = kForbidden;
  ForbidByHistory(sampled, logits);
  if (sampled.empty()) return;  // only timestamps are left
  if (TimestampsPrevail(logits)) Forbid(Before(logits, timestamp_begin_));
}

std::vector<int> SuppressedTokens(const SearchOptions& options,
                                  const SpecialTokens& tokens) {
  std::vector<int> suppressed;
  for (const int token : options.suppress_tokens) {
    if (token < -1 || token >= tokens.n_vocab)
      Fail(ErrorCode::kBadInput,
           "suppress_tokens: the model has no token {}, want 0 to {}, or -1",
           token, tokens.n_vocab - 1);
    if (token >= 0)
      suppressed.push_back(token);
    else
      suppressed.insert(suppressed.end(), tokens.non_speech.begin(),
                        tokens.non_speech.end());
  }
  for (const int token : {tokens.transcribe, tokens.translate, tokens.sot,
                          tokens.sot_prev, tokens.sot_lm, tokens.no_speech})
    if (token >= 0) suppressed.push_back(token);
  std::sort(suppressed.begin(), suppressed.end());
  suppressed.erase(std::unique(suppressed.begin(), suppressed.end()),
                   suppressed.end());
  return suppressed;
}

RuleList BuildRules(const SearchOptions& options, const SpecialTokens& tokens,
                    int n_audio_ctx) {
  tokens.Check();
  RuleList rules;
  if (options.suppress_blank)
    rules.push_back(std::make_unique<SuppressBlank>(tokens));
  // An empty list switches the whole rule off, the special tokens included:
  // so does OpenAI's.
  if (!options.suppress_tokens.empty())
    rules.push_back(
        std::make_unique<SuppressTokens>(SuppressedTokens(options, tokens)));
  if (!options.without_timestamps) {
    std::optional<int> max_initial_index;
    // A bound at the window's end or later forbids nothing.
    if (options.max_initial_timestamp > 0 &&
        options.max_initial_timestamp < kWindowSeconds) {
      // To the even index from half way, as Python's round.
      const double seconds_per_index = kWindowSeconds / n_audio_ctx;
      max_initial_index = static_cast<int>(
          std::nearbyint(options.max_initial_timestamp / seconds_per_index));
    }
    rules.push_back(
        std::make_unique<TimestampRules>(tokens, max_initial_index));
  }
  return rules;
}

}  // namespace sotto
