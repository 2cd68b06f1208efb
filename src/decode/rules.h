// SPDX-License-Identifier: MIT
// LogitRule: one reason why a token may not come next. Rules work in place on
// one row of logits; a forbidden token's logit becomes -infinity. The rules and
// their order are those of openai-whisper's decoding.py.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "decode/options.h"
#include "decode/special_tokens.h"

namespace sotto {

// Const; one rule may serve many rows at once. Apply allocates nothing.
class LogitRule {
 public:
  virtual ~LogitRule() = default;
  virtual const char* name() const = 0;
  // `sampled`: what the search chose so far, neither prompt nor prefix.
  virtual void Apply(std::span<const int> sampled,
                     std::span<float> logits) const = 0;
};

using RuleList = std::vector<std::unique_ptr<LogitRule>>;

// A window starts neither with white space alone nor with its end.
class SuppressBlank : public LogitRule {
 public:
  explicit SuppressBlank(const SpecialTokens& tokens);
  const char* name() const override { return "suppress_blank"; }
  void Apply(std::span<const int> sampled,
             std::span<float> logits) const override;

 private:
  std::vector<int> suppressed_;
};

// Some tokens are never wanted.
class SuppressTokens : public LogitRule {
 public:
  explicit SuppressTokens(std::vector<int> suppressed)
      : suppressed_(std::move(suppressed)) {}
  const char* name() const override { return "suppress_tokens"; }
  void Apply(std::span<const int> sampled,
             std::span<float> logits) const override;
  std::span<const int> suppressed() const { return suppressed_; }

 private:
  std::vector<int> suppressed_;
};

// Timestamps come first, in pairs (the end of a segment and the start of the
// next) or singly before the end of text, never fall, and leave no segment
// empty. Where all timestamps together are likelier than the likeliest other
// token, a timestamp it is. Cost per row: two passes for the maxima, and
// exponentials over the timestamps only where the maxima do not decide.
class TimestampRules : public LogitRule {
 public:
  // `max_initial_index`: last timestamp, counted from <|0.00|>, that a window
  // may start with.
  TimestampRules(const SpecialTokens& tokens,
                 std::optional<int> max_initial_index);
  const char* name() const override { return "timestamps"; }
  void Apply(std::span<const int> sampled,
             std::span<float> logits) const override;

 private:
  void ForbidByHistory(std::span<const int> sampled,
                       std::span<float> logits) const;
  // Whether the timestamps' total probability is above any other token's.
  bool TimestampsPrevail(std::span<const float> logits) const;

  int eot_;
  int no_timestamps_;
  int timestamp_begin_;
  std::optional<int> max_initial_index_;
};

// The tokens that SuppressTokens forbids for these options, sorted: with -1
// the non-speech symbols, and always the special tokens that only a prompt may
// hold. Throws kBadInput naming an id that the model does not have.
std::vector<int> SuppressedTokens(const SearchOptions& options,
                                  const SpecialTokens& tokens);

// The rules for these options, in the order in which they apply.
// `n_audio_ctx`: encoder positions in a window, which fix a timestamp's length.
RuleList BuildRules(const SearchOptions& options, const SpecialTokens& tokens,
                    int n_audio_ctx);

}  // namespace sotto
