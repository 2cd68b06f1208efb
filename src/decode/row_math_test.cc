// SPDX-License-Identifier: MIT
#include "decode/row_math.h"

#include <gtest/gtest.h>
#include <hwy/targets.h>

#include <algorithm>
#include <bit>
#include <cmath>

#include "decode/test_util.h"

namespace sotto {
namespace {

using testing::kNone;
using testing::RandomRow;

const int kSizes[] = {1, 2, 15, 16, 17, 63, 64, 65, 1023, 1024, 1025, 51865};

TEST(RowMath, MaxIsTheFirstOfEqualOnes) {
  Random random(1);
  for (const int n : kSizes) {
    std::vector<float> row = RandomRow(n, random);
    // Few values: many ties.
    for (float& x : row) x = std::round(x);
    const auto want = std::max_element(row.begin(), row.end());
    const RowMax got = MaxOf(row);
    EXPECT_EQ(got.value, *want) << n;
    EXPECT_EQ(got.index, static_cast<size_t>(want - row.begin())) << n;
  }
}

TEST(RowMath, MaxOfAllForbiddenIsTheFirst) {
  const std::vector<float> row(3000, kNone);
  EXPECT_EQ(MaxOf(row).index, 0u);
  EXPECT_EQ(MaxOf(row).value, kNone);
  EXPECT_EQ(MaxOf({}).value, kNone);
}

TEST(RowMath, TermsAreExponentials) {
  Random random(2);
  for (const float scale : {1.0f, 0.37f, 5.0f}) {
    const std::vector<float> row = RandomRow(20000, random, 45);
    std::vector<float> terms(row.size());
    ExpTerms(row, 45, scale, terms);
    for (size_t i = 0; i < row.size(); ++i) {
      const float x = (row[i] - 45.0f) * scale;
      if (x < -87) {
        EXPECT_EQ(terms[i], 0) << x;
        continue;
      }
      const double want = std::exp(static_cast<double>(x));
      EXPECT_NEAR(static_cast<double>(terms[i]) / want, 1.0, 2e-7) << x;
    }
  }
}

TEST(RowMath, SumFollowsTheDefinition) {
  Random random(3);
  for (const int n : kSizes) {
    const std::vector<float> row = RandomRow(n, random);
    const float max = MaxOf(row).value;
    double want = 0;
    for (const float x : row) want += std::exp(static_cast<double>(x - max));
    // Terms are off by 2e-7, a float sum by less than 16 roundings.
    EXPECT_NEAR(SumExp(row, max) / want, 1.0, 16 * 6e-8 + 2e-7) << n;
  }
}

TEST(RowMath, ForbiddenAndNotANumber) {
  std::vector<float> row(2000, kNone);
  row[1999] = 3;
  EXPECT_EQ(SumExp(row, 3), 1.0);
  row[5] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_TRUE(std::isnan(SumExp(row, 3)));
  EXPECT_EQ(SumExp({}, 0), 0.0);
}

// The order of sums and their roundings are part of the contract: sampling
// must not depend on the machine. This is that order in plain code.
float PlainExp(float x) {
  if (x < -87.0f) return 0;
  const float magic = 12582912.0f;
  const volatile float shifted = x * 1.44269504088896341f + magic;
  const float n = shifted - magic;
  float r = x - n * 0.693359375f;
  r = r - n * -2.12194440e-4f;
  float p = 1.9875691500e-4f;
  for (const float c : {1.3981999507e-3f, 8.3334519073e-3f, 4.1665795894e-2f,
                        1.6666665459e-1f, 5.0000001201e-1f})
    p = p * r + c;
  p = p * r * r + r + 1.0f;
  return std::bit_cast<float>(std::bit_cast<int32_t>(p) +
                              (static_cast<int32_t>(n) << 23));
}

double PlainSumExp(const std::vector<float>& row, float max) {
  double sum = 0;
  for (size_t at = 0; at < row.size();) {
    // A block of whole groups, and what is left of the row by itself.
    const size_t left = row.size() - at;
    const size_t size = left < 16 ? left : std::min(kSumBlock, left / 16 * 16);
    float lanes[16] = {};
    for (size_t i = 0; i < size; ++i)
      lanes[i % 16] += PlainExp(row[at + i] - max);
    double block = 0;
    for (const float lane : lanes) block += static_cast<double>(lane);
    sum += block;
    at += size;
  }
  return sum;
}

// On every instruction set that this machine has.
TEST(RowMath, SameBitsAsPlainCodeInSixteenLanes) {
  int64_t targets = hwy::SupportedTargets();
  while (targets != 0) {
    const int64_t target = targets & -targets;
    targets ^= target;
    hwy::SetSupportedTargetsForTest(target);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
    SCOPED_TRACE(hwy::TargetName(target));
    Random random(4);
    for (const int n : kSizes) {
      const std::vector<float> row = RandomRow(n, random, 50);
      const RowMax max = MaxOf(row);
      EXPECT_EQ(max.value, *std::max_element(row.begin(), row.end())) << n;
      EXPECT_EQ(SumExp(row, max.value), PlainSumExp(row, max.value)) << n;
      std::vector<float> terms(row.size());
      ExpTerms(row, max.value, 1, terms);
      for (size_t i = 0; i < row.size(); ++i)
        ASSERT_EQ(terms[i], PlainExp(row[i] - max.value)) << i << " of " << n;
    }
  }
  hwy::SetSupportedTargetsForTest(0);
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
}

}  // namespace
}  // namespace sotto
