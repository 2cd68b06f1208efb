// SPDX-License-Identifier: MIT
// What the tests of decoding share: a small vocabulary and scripted logits.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <limits>
#include <numeric>
#include <optional>
#include <string>
#include <vector>

#include "decode/sample.h"
#include "decode/search.h"
#include "decode/special_tokens.h"
#include "decode/text_of.h"

namespace sotto::testing {

// Allocations of this test program so far (count_allocations_test.cc).
long Allocations();

inline constexpr float kNone = -std::numeric_limits<float>::infinity();

// Text 0..39 (0 is the blank), <|endoftext|> 40, specials, languages 42..44,
// times from 51 on.
inline SpecialTokens SmallTokens(int n_times = 101) {
  SpecialTokens t;
  t.eot = 40;
  t.sot = 41;
  t.language_tokens = {42, 43, 44};
  t.translate = 45;
  t.transcribe = 46;
  t.sot_lm = 47;
  t.sot_prev = 48;
  t.no_speech = 49;
  t.no_timestamps = 50;
  t.timestamp_begin = 51;
  t.n_vocab = 51 + n_times;
  t.multilingual = true;
  t.blank = {0};
  t.non_speech = {37, 38, 39};
  return t;
}

// The special tokens of multilingual models up to large-v2.
inline SpecialTokens RealTokens() {
  SpecialTokens t;
  t.eot = 50257;
  t.sot = 50258;
  t.language_tokens.resize(99);
  std::iota(t.language_tokens.begin(), t.language_tokens.end(), 50259);
  t.translate = 50358;
  t.transcribe = 50359;
  t.sot_lm = 50360;
  t.sot_prev = 50361;
  t.no_speech = 50362;
  t.no_timestamps = 50363;
  t.timestamp_begin = 50364;
  t.n_vocab = 51865;
  t.multilingual = true;
  t.blank = {220};
  t.non_speech = {1, 2, 7, 8, 9, 10, 14, 25};
  return t;
}

inline SpecialTokens RealEnglishTokens() {
  SpecialTokens t = RealTokens();
  for (int* token :
       {&t.eot, &t.sot, &t.translate, &t.transcribe, &t.sot_lm, &t.sot_prev,
        &t.no_speech, &t.no_timestamps, &t.timestamp_begin, &t.n_vocab})
    --*token;
  for (int& token : t.language_tokens) --token;
  t.multilingual = false;
  return t;
}

// Token n is the letter 'a' + n % 26, and 0 a space.
inline TextOf LetterText(const SpecialTokens& tokens) {
  return [eot = tokens.eot](std::span<const int> all) {
    std::string out;
    for (const int token : all)
      if (token < eot)
        out += token == 0 ? ' ' : static_cast<char>('a' + token % 26);
    return out;
  };
}

// Logits from a function of all tokens fed so far. Checks its own contract.
class ScriptedSource : public LogitSource {
 public:
  using Script =
      std::function<void(std::span<const int> fed, std::span<float> logits)>;
  ScriptedSource(int n_vocab, Script script)
      : row_(static_cast<size_t>(n_vocab)),
        sot_row_(static_cast<size_t>(n_vocab)),
        script_(std::move(script)) {
    fed_.reserve(1000);
  }
  int vocab_size() const override { return static_cast<int>(row_.size()); }
  std::span<float> Prefill(std::span<const int> prompt, int sot_index,
                           std::span<float>* sot_logits) override {
    ++prefills;
    fed_.assign(prompt.begin(), prompt.end());
    if (sot_index >= 0) {
      script_(prompt.first(static_cast<size_t>(sot_index) + 1), sot_row_);
      *sot_logits = sot_row_;
    }
    script_(fed_, row_);
    return row_;
  }
  std::span<float> Step(int token) override {
    fed_.push_back(token);
    script_(fed_, row_);
    return row_;
  }
  const std::vector<int>& fed() const { return fed_; }
  int prefills = 0;

 private:
  std::vector<float> row_, sot_row_;
  std::vector<int> fed_;
  Script script_;
};

// Says `tokens` one after the other from the prompt's end on, then the end of
// text, each with a logit of `sure` where all else has 0.
inline ScriptedSource::Script Say(std::vector<int> tokens, size_t prompt_size,
                                  int eot, float sure = 20.0f) {
  return [=](std::span<const int> fed, std::span<float> logits) {
    std::fill(logits.begin(), logits.end(), 0.0f);
    const size_t i = fed.size() - std::min(fed.size(), prompt_size);
    logits[static_cast<size_t>(i < tokens.size() ? tokens[i] : eot)] = sure;
  };
}

// The rows of tools/make_decode_goldens.py: multiples of 1/256 in
// [-span, span) that follow from all tokens fed.
inline void ScriptRow(uint64_t seed, std::span<const int> fed, int span,
                      std::span<float> row) {
  const auto mix = [](uint64_t x) {
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
  };
  uint64_t h = seed;
  for (const int token : fed) h = mix(h ^ static_cast<uint64_t>(token));
  for (size_t i = 0; i < row.size(); ++i) {
    const uint64_t step =
        (mix(h + i) >> 40) % (512 * static_cast<uint64_t>(span));
    row[i] = static_cast<float>(static_cast<double>(step) / 256 - span);
  }
}

inline std::vector<float> RandomRow(int n, Random& random, float span = 10) {
  std::vector<float> row(static_cast<size_t>(n));
  for (float& x : row)
    x = static_cast<float>(random.Uniform() - 0.5) * 2 * span;
  return row;
}

inline std::optional<std::string> TestData() {
  const char* folder = std::getenv("SOTTO_TEST_DATA");
  if (folder == nullptr || *folder == '\0') return std::nullopt;
  return folder;
}

}  // namespace sotto::testing
