// SPDX-License-Identifier: MIT
#include "decode/language.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"
#include "decode/test_util.h"

namespace sotto {
namespace {

using testing::RealTokens;
using testing::ScriptedSource;
using testing::SmallTokens;

TEST(RankLanguages, OnlyLanguagesCount) {
  const SpecialTokens t = SmallTokens();
  std::vector<float> row(static_cast<size_t>(t.n_vocab), 50.0f);
  row[42] = 1.0f;
  row[43] = 3.0f;
  row[44] = 2.0f;
  const auto ranked = RankLanguages(row, t);
  ASSERT_EQ(ranked.size(), 3u);
  const double total = std::exp(1.0) + std::exp(2.0) + std::exp(3.0);
  for (size_t i = 0; i < 3; ++i) {
    const int order[] = {1, 2, 0};
    EXPECT_EQ(ranked[i].index, order[i]);
    EXPECT_EQ(ranked[i].token, 42 + order[i]);
    EXPECT_NEAR(ranked[i].probability, std::exp(3.0 - double(i)) / total,
                1e-12);
  }
}

TEST(RankLanguages, EqualOnesKeepTheOrderOfTheTable) {
  const SpecialTokens t = RealTokens();
  Random random(1);
  std::vector<float> row = testing::RandomRow(t.n_vocab, random, 3);
  for (float& x : row) x = std::round(x);
  const auto ranked = RankLanguages(row, t);
  double sum = 0;
  for (size_t i = 0; i < ranked.size(); ++i) {
    sum += ranked[i].probability;
    if (i == 0) continue;
    EXPECT_GE(ranked[i - 1].probability, ranked[i].probability);
    if (ranked[i - 1].probability == ranked[i].probability) {
      EXPECT_LT(ranked[i - 1].index, ranked[i].index);
    }
  }
  EXPECT_NEAR(sum, 1, 1e-12);
}

TEST(DetectLanguage, AsksForTheRowAfterTheSotAlone) {
  const SpecialTokens t = SmallTokens();
  ScriptedSource source(t.n_vocab,
                        [](std::span<const int>, std::span<float> row) {
                          std::fill(row.begin(), row.end(), 0.0f);
                          row[44] = 5.0f;
                        });
  EXPECT_EQ(DetectLanguage(source, t).front().token, 44);
  EXPECT_EQ(source.fed(), std::vector<int>{t.sot});
}

TEST(DetectLanguage, RefusesEnglishOnlyModelsAndBrokenLogits) {
  SpecialTokens t = SmallTokens();
  ScriptedSource source(t.n_vocab, [](std::span<const int>,
                                      std::span<float> row) {
    std::fill(row.begin(), row.end(), std::numeric_limits<float>::quiet_NaN());
  });
  EXPECT_THROW(DetectLanguage(source, t), Error);
  t.multilingual = false;
  EXPECT_THROW(DetectLanguage(source, t), Error);
}

}  // namespace
}  // namespace sotto
