// SPDX-License-Identifier: MIT
#include "decode/greedy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "decode/golden_test.h"
#include "decode/test_util.h"

namespace sotto {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::kNone;
using testing::RealTokens;
using testing::Say;
using testing::ScriptedSource;
using testing::SmallTokens;

struct Case {
  SpecialTokens tokens = SmallTokens();
  SearchOptions options;
  std::vector<int> previous;
  int language = 42;
  int n_text_ctx = 448;
  double temperature = 0;
  uint64_t seed = 0;

  Prompt prompt() const {
    return BuildPrompt(options, tokens, language, previous, n_text_ctx);
  }
  Hypothesis Run(LogitSource& source) const {
    const Prompt built = prompt();
    const RuleList rules = BuildRules(options, tokens, 1500);
    Random random(seed);
    return DecodeGreedy({source, built, rules, tokens,
                         SampleLength(options, n_text_ctx), n_text_ctx},
                        temperature, random);
  }
};

TEST(DecodeGreedy, SaysWhatTheScriptSays) {
  const Case c;
  ScriptedSource source(c.tokens.n_vocab, Say({51, 5, 6, 80}, 3, c.tokens.eot));
  const Hypothesis got = c.Run(source);
  EXPECT_THAT(got.tokens, ElementsAre(51, 5, 6, 80));
  EXPECT_THAT(source.fed(), ElementsAre(41, 42, 46, 51, 5, 6, 80));
  EXPECT_EQ(got.temperature, 0);
}

TEST(DecodeGreedy, AddsLogProbabilitiesAfterTheRulesWithTheEnd) {
  Case c;
  c.options.without_timestamps = true;
  c.options.suppress_tokens = {7};
  c.tokens.n_vocab = 60;
  ScriptedSource source(60, Say({5, 6}, 4, c.tokens.eot, 2.0f));
  const Hypothesis got = c.Run(source);
  EXPECT_THAT(got.tokens, ElementsAre(5, 6));
  // Suppressed: 7, six special tokens; at the start the blank and the end too.
  const auto logprob = [](int others) {
    return 2.0 - std::log(std::exp(2.0) + others);
  };
  const double want = logprob(60 - 7 - 2 - 1) + 2 * logprob(60 - 7 - 1);
  EXPECT_NEAR(got.sum_logprob, want, 1e-6);
  EXPECT_NEAR(got.avg_logprob, want / 3, 1e-6);
}

TEST(DecodeGreedy, NoSpeechIsThatOfTheSotBeforeTheRules) {
  Case c;
  c.previous = {3, 4, 5};
  const SpecialTokens& t = c.tokens;
  ScriptedSource source(t.n_vocab,
                        [&](std::span<const int> fed, std::span<float> logits) {
                          std::fill(logits.begin(), logits.end(), 0.0f);
                          logits[static_cast<size_t>(t.no_speech)] =
                              fed.back() == t.sot ? 6.0f : 9.0f;
                          if (fed.size() > 7)
                            logits[static_cast<size_t>(t.eot)] = 20.0f;
                        });
  const Hypothesis got = c.Run(source);
  EXPECT_NEAR(got.no_speech_prob,
              std::exp(6.0) / (std::exp(6.0) + t.n_vocab - 1), 1e-6);
}

TEST(DecodeGreedy, NoSpeechWhereTheSotIsTheLastToken) {
  Case c;
  c.tokens = testing::RealEnglishTokens();
  ScriptedSource source(c.tokens.n_vocab,
                        [&](std::span<const int> fed, std::span<float> row) {
                          std::fill(row.begin(), row.end(), 0.0f);
                          row[50361] = 12.0f;  // no speech
                          if (fed.size() > 2) row[50256] = 20.0f;
                        });
  EXPECT_THAT(c.prompt().tokens, ElementsAre(50257));
  EXPECT_NEAR(c.Run(source).no_speech_prob,
              std::exp(12.0) / (std::exp(12.0) + 51863), 1e-6);
}

TEST(DecodeGreedy, StopsAfterSampleLen) {
  Case c;
  c.options.sample_len = 6;
  ScriptedSource source(c.tokens.n_vocab,
                        Say(std::vector<int>(1000, 7), 2, c.tokens.eot, 30.0f));
  const Hypothesis got = c.Run(source);
  EXPECT_EQ(got.tokens.size(), 6u);
  // The last token is never fed: nothing is asked after it.
  EXPECT_EQ(source.fed().size(), 3u + 5u);
  EXPECT_NEAR(got.avg_logprob, got.sum_logprob / 7, 1e-12);
}

TEST(DecodeGreedy, StopsWhereTheContextIsFull) {
  for (const int context : {4, 5, 40}) {
    Case c;
    c.n_text_ctx = context;
    c.options.sample_len = 1000;
    ScriptedSource source(c.tokens.n_vocab, Say(std::vector<int>(1000, 7), 2,
                                                c.tokens.eot, 30.0f));
    const Hypothesis got = c.Run(source);
    // As OpenAI's: one token more than the context holds is chosen, not fed.
    EXPECT_EQ(got.tokens.size(), static_cast<size_t>(context + 1 - 3));
    EXPECT_EQ(source.fed().size(), static_cast<size_t>(context));
  }
}

TEST(DecodeGreedy, EndAtOnceGivesNoTokens) {
  Case c;
  c.options.suppress_blank = false;
  c.options.without_timestamps = true;
  ScriptedSource source(c.tokens.n_vocab, Say({}, 4, c.tokens.eot));
  const Hypothesis got = c.Run(source);
  EXPECT_THAT(got.tokens, IsEmpty());
  EXPECT_LT(got.avg_logprob, 0);
  EXPECT_EQ(got.avg_logprob, got.sum_logprob);
}

TEST(DecodeGreedy, TwoWindowsInARowDoNotMix) {
  const Case c;
  ScriptedSource used(c.tokens.n_vocab, Say({51, 5, 6, 80}, 3, c.tokens.eot));
  const Hypothesis first = c.Run(used);
  const Hypothesis second = c.Run(used);
  EXPECT_EQ(first.tokens, second.tokens);
  EXPECT_EQ(first.sum_logprob, second.sum_logprob);
}

TEST(DecodeGreedy, SamplingRepeatsForASeed) {
  Case c;
  c.temperature = 1.0;
  c.options.sample_len = 50;
  const auto script = [](std::span<const int> fed, std::span<float> logits) {
    Random random(fed.size());
    for (float& x : logits) x = static_cast<float>(random.Uniform());
  };
  ScriptedSource source(c.tokens.n_vocab, script);
  const Hypothesis a = c.Run(source), b = c.Run(source);
  EXPECT_EQ(a.tokens, b.tokens);
  EXPECT_EQ(a.sum_logprob, b.sum_logprob);
  c.seed = 1;
  EXPECT_NE(a.tokens, c.Run(source).tokens);
}

TEST(DecodeGreedy, LogProbabilityIsWithoutTemperature) {
  Case c;
  c.options.sample_len = 1;
  c.options.suppress_tokens.clear();
  c.options.without_timestamps = true;
  c.temperature = 1e-6;  // the likeliest, but by sampling
  ScriptedSource source(c.tokens.n_vocab, Say({5}, 4, c.tokens.eot, 2.0f));
  EXPECT_NEAR(c.Run(source).sum_logprob,
              2 - std::log(std::exp(2.0) + c.tokens.n_vocab - 1 - 2), 1e-6);
}

TEST(DecodeGreedy, NamesWhatLeavesNoToken) {
  Case c;
  for (int i = 0; i < c.tokens.n_vocab; ++i)
    c.options.suppress_tokens.push_back(i);
  ScriptedSource source(c.tokens.n_vocab, Say({5}, 3, c.tokens.eot));
  try {
    c.Run(source);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kBadInput);
    EXPECT_THAT(error.what(), HasSubstr("no token is allowed after 0 tokens"));
  }
}

TEST(DecodeGreedy, RefusesLogitsThatAreNotNumbers) {
  const Case c;
  const float bad_values[] = {std::numeric_limits<float>::quiet_NaN(),
                              std::numeric_limits<float>::infinity()};
  for (const float bad : bad_values) {
    for (const size_t at : {size_t{51}, size_t{60}, size_t{151}}) {
      ScriptedSource source(c.tokens.n_vocab,
                            [&](std::span<const int>, std::span<float> logits) {
                              std::fill(logits.begin(), logits.end(), 0.0f);
                              logits[at] = bad;
                            });
      EXPECT_THROW(c.Run(source), Error) << bad << " at " << at;
    }
  }
}

// Whole decodings of scripts against those of OpenAI's DecodingTask.
TEST(DecodeGreedy, DecodesAsOpenAi) {
  int cases = 0;
  for (const nlohmann::json& line : testing::Golden("greedy")) {
    Case c;
    c.tokens.multilingual = line["multilingual"];
    c.n_text_ctx = line["n_text_ctx"];
    c.options.task =
        line["task"] == "translate" ? Task::kTranslate : Task::kTranscribe;
    c.options.sample_len = line["sample_len"];
    c.options.prefix = line["prefix"].get<std::vector<int>>();
    c.options.suppress_tokens =
        ParseSuppressTokens(line["suppress_tokens"].get<std::string>());
    c.options.suppress_blank = line["suppress_blank"];
    c.options.without_timestamps = line["without_timestamps"];
    c.previous = line["prompt"].get<std::vector<int>>();
    c.language = line["language"] == "en"   ? 42
                 : line["language"] == "de" ? 43
                                            : 44;
    const size_t end_after = line["end_after"];
    ScriptedSource source(
        c.tokens.n_vocab, [&](std::span<const int> fed, std::span<float> row) {
          testing::ScriptRow(line["seed"], fed, line["span"], row);
          if (fed.size() >= end_after) row[40] = 30;
        });
    const Prompt prompt = c.prompt();
    EXPECT_EQ(prompt.tokens, line["initial"].get<std::vector<int>>());
    EXPECT_EQ(prompt.sot_index, line["sot_index"].get<int>());
    const Hypothesis got = c.Run(source);
    EXPECT_EQ(got.tokens, line["tokens"].get<std::vector<int>>())
        << line.dump();
    // The reference adds floats of about 5 up to 40 times.
    EXPECT_NEAR(got.avg_logprob, line["avg_logprob"].get<double>(), 2e-5);
    EXPECT_NEAR(got.no_speech_prob, line["no_speech_prob"].get<double>(), 1e-6);
    ++cases;
  }
  EXPECT_EQ(cases, 60);
}

TEST(DecodeGreedy, AStepAllocatesNothing) {
  for (const double temperature : {0.0, 0.8}) {
    Case c;
    c.tokens = RealTokens();
    c.temperature = temperature;
    const Prompt prompt = c.prompt();
    const RuleList rules = BuildRules(c.options, c.tokens, 1500);
    ScriptedSource source(c.tokens.n_vocab,
                          [](std::span<const int> fed, std::span<float> row) {
                            Random random(fed.size());
                            for (float& x : row)
                              x = static_cast<float>(random.Uniform());
                          });
    std::vector<long> counts;
    for (const int length : {5, 100}) {
      Random random(0);
      const long before = testing::Allocations();
      const Hypothesis got = DecodeGreedy(
          {source, prompt, rules, c.tokens, length, 448}, temperature, random);
      counts.push_back(testing::Allocations() - before);
      EXPECT_GT(got.tokens.size(), 2u);
    }
    // The reserved tokens, and nothing for 95 tokens more.
    EXPECT_EQ(counts[0], 1) << temperature;
    EXPECT_EQ(counts[1], 1) << temperature;
  }
}

}  // namespace
}  // namespace sotto
