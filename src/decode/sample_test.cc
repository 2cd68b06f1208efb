// SPDX-License-Identifier: MIT
#include "decode/sample.h"

#include <gtest/gtest.h>

#include <cmath>

#include "decode/test_util.h"

namespace sotto {
namespace {

using testing::kNone;
using testing::RandomRow;

TEST(Random, FollowsXoshiro256PlusPlus) {
  // Worked out with Python's integers by a program that also gives the
  // published 41943041, 58720359, 3588806011781223 for the state 1, 2, 3, 4.
  const uint64_t want[] = {0x84f09bf307c1073au, 0xc82ffb597ceee51bu,
                           0xadf96905c5df4417u};
  Random random(0);
  for (const uint64_t value : want) EXPECT_EQ(random.Next(), value);
}

TEST(Random, StreamsDiffer) {
  EXPECT_NE(Random(1, 0).Next(), Random(1, 1).Next());
  EXPECT_NE(Random(1, 1).Next(), Random(2, 0).Next());
  EXPECT_EQ(Random(7, 9).Next(), Random(7, 9).Next());
}

TEST(Random, UniformIsInRangeAndEven) {
  Random random(5);
  double sum = 0;
  constexpr int kDraws = 100000;
  for (int i = 0; i < kDraws; ++i) {
    const double u = random.Uniform();
    ASSERT_GE(u, 0);
    ASSERT_LT(u, 1);
    sum += u;
  }
  // Five standard deviations of the mean.
  EXPECT_NEAR(sum / kDraws, 0.5, 5 * std::sqrt(1.0 / 12 / kDraws));
}

TEST(LogProbability, FollowsTheDefinition) {
  Random random(6);
  for (const int n : {1, 7, 1000, 51865}) {
    const std::vector<float> row = RandomRow(n, random);
    double total = 0;
    for (const float x : row) total += std::exp(static_cast<double>(x));
    const int token = ArgMax(row);
    const double want =
        static_cast<double>(row[static_cast<size_t>(token)]) - std::log(total);
    EXPECT_NEAR(LogProbability(row, MaxOf(row).value, token), want, 2e-6);
    EXPECT_NEAR(Probability(row, token), std::exp(want), 2e-6);
  }
}

double ChiSquare(const std::vector<int>& counts,
                 const std::vector<double>& probabilities, int draws) {
  double sum = 0;
  for (size_t i = 0; i < counts.size(); ++i) {
    const double want = probabilities[i] * draws;
    if (want == 0) {
      EXPECT_EQ(counts[i], 0) << "token " << i;
      continue;
    }
    sum += (counts[i] - want) * (counts[i] - want) / want;
  }
  return sum;
}

// The chance that a right sampler fails is under 1e-6 for each case.
TEST(SampleCategorical, HasTheRightDistribution) {
  constexpr int kTokens = 20;
  constexpr int kDraws = 100000;
  for (const double temperature : {0.2, 0.6, 1.0, 3.0}) {
    Random random(8);
    std::vector<float> row = RandomRow(kTokens, random, 1.0f);
    row[3] = row[11] = kNone;
    std::vector<double> p;
    double total = 0;
    for (const float x : row) {
      p.push_back(std::exp(static_cast<double>(x) / temperature));
      total += p.back();
    }
    for (double& x : p) x /= total;
    std::vector<int> counts(kTokens);
    for (int i = 0; i < kDraws; ++i)
      ++counts[static_cast<size_t>(
          SampleCategorical(row, temperature, random))];
    // 17 degrees of freedom: P(chi^2 > 66) < 1e-7.
    EXPECT_LT(ChiSquare(counts, p, kDraws), 66) << "T " << temperature;
  }
}

TEST(SampleCategorical, HasTheRightDistributionOverManyBlocks) {
  constexpr int kDraws = 20000;
  Random random(9);
  const std::vector<float> row = RandomRow(51865, random, 2.0f);
  // Tokens by their block of 1024: 51 of them.
  const size_t blocks = (row.size() + kRowBlock - 1) / kRowBlock;
  std::vector<double> p(blocks);
  double total = 0;
  for (size_t i = 0; i < row.size(); ++i) {
    p[i / kRowBlock] += std::exp(static_cast<double>(row[i]));
    total += std::exp(static_cast<double>(row[i]));
  }
  for (double& x : p) x /= total;
  std::vector<int> counts(blocks);
  for (int i = 0; i < kDraws; ++i)
    ++counts[static_cast<size_t>(SampleCategorical(row, 1.0, random)) /
             kRowBlock];
  // 50 degrees of freedom: P(chi^2 > 120) < 1e-7.
  EXPECT_LT(ChiSquare(counts, p, kDraws), 120);
}

TEST(SampleCategorical, SameSeedSameTokens) {
  Random random(10);
  const std::vector<float> row = RandomRow(5000, random);
  Random a(3, 1), b(3, 1), c(4, 1);
  int differing = 0;
  for (int i = 0; i < 200; ++i) {
    const int token = SampleCategorical(row, 1.0, a);
    EXPECT_EQ(token, SampleCategorical(row, 1.0, b));
    differing += token != SampleCategorical(row, 1.0, c);
  }
  EXPECT_GT(differing, 100);
}

TEST(SampleCategorical, NeverTakesAForbiddenToken) {
  Random random(11);
  for (int trial = 0; trial < 200; ++trial) {
    std::vector<float> row(3000, kNone);
    std::vector<size_t> allowed;
    for (int i = 0; i < 3; ++i) {
      allowed.push_back(random.Next() % row.size());
      row[allowed.back()] = static_cast<float>(random.Uniform() * 80);
    }
    for (const double temperature : {1e-300, 1e-3, 1.0, 1e300}) {
      const int token = SampleCategorical(row, temperature, random);
      EXPECT_NE(row[static_cast<size_t>(token)], kNone);
    }
  }
}

TEST(SampleCategorical, LowTemperatureTakesTheMaximum) {
  Random random(12);
  const std::vector<float> row = RandomRow(3000, random);
  for (int i = 0; i < 20; ++i)
    EXPECT_EQ(SampleCategorical(row, 1e-6, random), ArgMax(row));
}

}  // namespace
}  // namespace sotto
