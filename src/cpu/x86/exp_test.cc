// SPDX-License-Identifier: MIT
#include "cpu/x86/exp.h"

#include <gtest/gtest.h>

#include <limits>

#include "cpu/x86/test_problems.h"

namespace sotto::cpu::x86 {
namespace {

SOTTO_AVX512 void Apply(std::span<float> values, bool gelu) {
  for (size_t i = 0; i < values.size(); i += 16) {
    const __m512 x = _mm512_loadu_ps(&values[i]);
    _mm512_storeu_ps(&values[i], gelu ? Gelu(x) : Exp2(x));
  }
}

std::vector<float> Grid(float low, float high) {
  constexpr int kCount = 1 << 20;
  std::vector<float> x(kCount);
  for (int i = 0; i < kCount; ++i)
    x[static_cast<size_t>(i)] =
        low + (high - low) * static_cast<float>(i) / kCount;
  return x;
}

TEST(ExpX86, IsWithinTwoPartsInTenMillion) {
  SKIP_WITHOUT_BF16();
  const std::vector<float> x = Grid(-125, 125);
  std::vector<float> y = x;
  Apply(y, false);
  double worst = 0;
  for (size_t i = 0; i < x.size(); ++i)
    worst = std::max(worst, std::abs(static_cast<double>(y[i]) /
                                         std::exp2(static_cast<double>(x[i])) -
                                     1));
  EXPECT_LE(worst, 2e-7);
}

TEST(ExpX86, KnowsItsEnds) {
  SKIP_WITHOUT_BF16();
  constexpr float kInf = std::numeric_limits<float>::infinity();
  std::vector<float> y(16, 0.0f);
  y[1] = -kInf;
  y[2] = kInf;
  y[3] = -300;
  y[4] = std::numeric_limits<float>::quiet_NaN();
  Apply(y, false);
  EXPECT_EQ(y[0], 1);  // exactly: a maximum that stands changes no sum
  EXPECT_EQ(y[1], 0);
  EXPECT_EQ(y[2], kInf);
  EXPECT_EQ(y[3], 0);
  EXPECT_TRUE(std::isnan(y[4]));
}

TEST(GeluX86, IsTheErfFormAlsoInTheNegativeTail) {
  SKIP_WITHOUT_BF16();
  const std::vector<float> x = Grid(-12.9f, 12.9f);
  std::vector<float> y = x;
  Apply(y, true);
  double worst = 0, worst_tail = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const auto at = static_cast<double>(x[i]);
    const double exact = 0.5 * at * std::erfc(-at * std::sqrt(0.5));
    if (exact == 0) continue;
    const double error = std::abs((static_cast<double>(y[i]) - exact) / exact);
    double& where = std::abs(exact) > 1e-6 ? worst : worst_tail;
    where = std::max(where, error);
  }
  EXPECT_LE(worst, 1e-6);
  EXPECT_LE(worst_tail, 1e-5);
}

TEST(GeluX86, KnowsItsEnds) {
  SKIP_WITHOUT_BF16();
  std::vector<float> y(16, 0.0f);
  y[1] = 1e30f;
  y[2] = -1e30f;
  y[3] = std::numeric_limits<float>::quiet_NaN();
  Apply(y, true);
  EXPECT_EQ(y[0], 0);
  EXPECT_EQ(y[1], 1e30f);
  EXPECT_NEAR(y[2], 0, 1e-37);
  EXPECT_TRUE(std::isnan(y[3]));
}

}  // namespace
}  // namespace sotto::cpu::x86
