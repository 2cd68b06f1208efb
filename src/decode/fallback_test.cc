// SPDX-License-Identifier: MIT
#include "decode/fallback.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "base/error.h"
#include "decode/test_util.h"
#include "text/compression_ratio.h"

namespace sotto {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::LetterText;
using testing::RealTokens;
using testing::Say;
using testing::ScriptedSource;
using testing::SmallTokens;

Hypothesis Attempt(double avg_logprob, double no_speech, double compression) {
  Hypothesis attempt;
  attempt.avg_logprob = avg_logprob;
  attempt.no_speech_prob = no_speech;
  attempt.compression_ratio = compression;
  return attempt;
}

TEST(NeedsFallback, ThresholdsAreNotThemselvesFailures) {
  const FallbackOptions options;
  EXPECT_FALSE(NeedsFallback(Attempt(-1.0, 0, 2.4), options));
  EXPECT_TRUE(NeedsFallback(Attempt(-1.001, 0, 1), options));
  EXPECT_TRUE(NeedsFallback(Attempt(-0.1, 0, 2.401), options));
  EXPECT_TRUE(NeedsFallback(Attempt(-1.001, 0.6, 1), options));
}

TEST(NeedsFallback, SilenceOverrulesBothGates) {
  const FallbackOptions options;
  EXPECT_FALSE(NeedsFallback(Attempt(-2, 0.61, 1), options));
  EXPECT_FALSE(NeedsFallback(Attempt(-2, 0.61, 9), options));
  // High no-speech probability alone is not silence.
  EXPECT_TRUE(NeedsFallback(Attempt(-0.5, 0.99, 9), options));
}

TEST(NeedsFallback, GatesMayBeOff) {
  FallbackOptions options;
  options.compression_ratio_threshold.reset();
  EXPECT_FALSE(NeedsFallback(Attempt(-0.5, 0, 99), options));
  options.no_speech_threshold.reset();
  EXPECT_TRUE(NeedsFallback(Attempt(-2, 1, 1), options));
  options.logprob_threshold.reset();
  EXPECT_FALSE(NeedsFallback(Attempt(-99, 0, 99), options));
}

TEST(IsSilence, NeedsBothUnlessAGateIsOff) {
  FallbackOptions options;
  EXPECT_TRUE(IsSilence(Attempt(-1.0, 0.61, 1), options));
  EXPECT_FALSE(IsSilence(Attempt(-0.99, 0.61, 1), options));
  EXPECT_FALSE(IsSilence(Attempt(-2, 0.6, 1), options));
  options.logprob_threshold.reset();
  EXPECT_TRUE(IsSilence(Attempt(-0.1, 0.61, 1), options));
  options.no_speech_threshold.reset();
  EXPECT_FALSE(IsSilence(Attempt(-9, 1, 1), options));
}

// A decoder over the small vocabulary that notes each attempt.
class Ladder : public ::testing::Test {
 protected:
  Hypothesis Decode(ScriptedSource& source, int seek = 0) {
    const WindowDecoder decoder(search, fallback, tokens, LetterText(tokens),
                                448, 1500);
    return decoder.Decode(source, {}, 42, seek);
  }
  SpecialTokens tokens = SmallTokens();
  SearchOptions search;
  FallbackOptions fallback;
};

TEST_F(Ladder, AGoodFirstAttemptStands) {
  ScriptedSource source(tokens.n_vocab, Say({51, 5, 6, 7, 80}, 3, tokens.eot));
  const Hypothesis got = Decode(source);
  EXPECT_EQ(source.prefills, 1);
  EXPECT_EQ(got.temperature, 0);
  EXPECT_EQ(got.compression_ratio, CompressionRatio("fgh"));
}

TEST_F(Ladder, RepetitionClimbsIt) {
  // Sure of itself at any temperature.
  std::vector<int> loop = {51};
  for (int i = 0; i < 60; ++i) loop.insert(loop.end(), {1, 2, 3});
  loop.push_back(100);
  ScriptedSource source(tokens.n_vocab, Say(loop, 3, tokens.eot, 200.0f));
  const Hypothesis got = Decode(source);
  EXPECT_EQ(source.prefills, 6);
  EXPECT_GT(got.compression_ratio, 2.4);
  EXPECT_EQ(got.temperature, 1.0);
  EXPECT_GT(got.avg_logprob, -0.1);
}

TEST_F(Ladder, StopsAtTheFirstAttemptThatIsGood) {
  // The first text token decides: 1 starts a loop and is a little likelier
  // than 7, which starts good text.
  std::vector<int> loop = {51};
  for (int i = 0; i < 60; ++i) loop.insert(loop.end(), {1, 2, 3});
  const auto in_loop = Say(loop, 3, tokens.eot, 60.0f);
  const auto out = Say({51, 7, 8, 9, 10}, 3, tokens.eot, 60.0f);
  ScriptedSource source(tokens.n_vocab,
                        [&](std::span<const int> fed, std::span<float> row) {
                          const bool left = fed.size() > 4 && fed[4] == 7;
                          (left ? out : in_loop)(fed, row);
                          if (fed.size() == 4) row[1] = 60.0f, row[7] = 59.8f;
                        });
  std::set<double> temperatures;
  for (int seek = 0; seek < 40; ++seek) {
    source.prefills = 0;
    const Hypothesis got = Decode(source, seek);
    temperatures.insert(got.temperature);
    if (got.compression_ratio > 2.4) {
      EXPECT_EQ(got.temperature, 1.0);
    }
    EXPECT_EQ(got.temperature,
              fallback.temperatures[static_cast<size_t>(source.prefills) - 1]);
  }
  EXPECT_GT(temperatures.size(), 1u);
  EXPECT_FALSE(temperatures.contains(0.0));
}

TEST_F(Ladder, NoiseClimbsToTheTop) {
  // Flat random logits: every token is unlikely.
  tokens = RealTokens();
  ScriptedSource source(tokens.n_vocab,
                        [](std::span<const int> fed, std::span<float> row) {
                          Random random(fed.size());
                          for (float& x : row)
                            x = static_cast<float>(random.Uniform());
                        });
  search.sample_len = 30;
  const Hypothesis got = Decode(source);
  EXPECT_EQ(source.prefills, 6);
  EXPECT_EQ(got.temperature, 1.0);
  EXPECT_LT(got.avg_logprob, -1.0);
  EXPECT_FALSE(IsSilence(got, fallback));
}

TEST_F(Ladder, NoiseThatLooksLikeSilenceIsNotTriedAgain) {
  tokens = RealTokens();
  ScriptedSource source(tokens.n_vocab,
                        [&](std::span<const int> fed, std::span<float> row) {
                          Random random(fed.size());
                          for (float& x : row)
                            x = static_cast<float>(random.Uniform());
                          if (fed.size() == 1) row[50362] = 20.0f;
                        });
  search.sample_len = 30;
  const Hypothesis got = Decode(source);
  EXPECT_EQ(source.prefills, 1);
  EXPECT_GT(got.no_speech_prob, 0.6);
  EXPECT_TRUE(IsSilence(got, fallback));
}

TEST_F(Ladder, AttemptsRepeatForASeedWhateverCameBefore) {
  ScriptedSource source(tokens.n_vocab,
                        [](std::span<const int> fed, std::span<float> row) {
                          Random random(fed.size());
                          for (float& x : row)
                            x = static_cast<float>(random.Uniform());
                        });
  search.sample_len = 20;
  const Hypothesis a = Decode(source, 3000);
  Decode(source, 0);
  const Hypothesis b = Decode(source, 3000);
  EXPECT_EQ(a.tokens, b.tokens);
  EXPECT_EQ(a.sum_logprob, b.sum_logprob);
  EXPECT_NE(a.tokens, Decode(source, 6000).tokens);
  search.seed = 1;
  EXPECT_NE(a.tokens, Decode(source, 3000).tokens);
}

TEST_F(Ladder, TheRatioIsThatOfTheStrippedText) {
  std::vector<int> said = {51, 0};
  for (int i = 0; i < 30; ++i) said.push_back(1 + i % 3);
  said.insert(said.end(), {0, 0, 80});
  ScriptedSource source(tokens.n_vocab, Say(said, 3, tokens.eot, 50.0f));
  std::string text;
  for (int i = 0; i < 10; ++i) text += "bcd";
  fallback.compression_ratio_threshold.reset();
  EXPECT_EQ(Decode(source).compression_ratio, CompressionRatio(text));
}

TEST_F(Ladder, RefusesBadOptions) {
  ScriptedSource source(tokens.n_vocab, Say({}, 3, tokens.eot));
  fallback.temperatures = {};
  EXPECT_THROW(Decode(source), Error);
  fallback.temperatures = {0.0, -0.2};
  EXPECT_THROW(Decode(source), Error);
  fallback.temperatures = {0.0};
  search.sample_len = -1;
  EXPECT_THROW(Decode(source), Error);
}

}  // namespace
}  // namespace sotto
