// SPDX-License-Identifier: MIT
// The vector functions over dense sweeps, per instruction set.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "cpu/select.h"
#include "cpu/simd/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/exp_test.cc"
#include "hwy/foreach_target.h"
// After foreach_target.
#include "cpu/simd/exp-inl.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace sotto::cpu::HWY_NAMESPACE {

void ExpAll(const float* x, float* y, int64_t count) {
  for (int64_t i = 0; i < count; i += kLanes) Store(Exp(Load(x + i)), y + i);
}

void GeluAll(const float* x, float* y, int64_t count) {
  for (int64_t i = 0; i < count; i += kLanes) Store(Gelu(Load(x + i)), y + i);
}

}  // namespace sotto::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include "cpu/simd/dispatch.h"

namespace sotto::cpu {
namespace {

HWY_EXPORT(ExpAll);
HWY_EXPORT(GeluAll);

std::vector<CpuFeatures> VectorLevels() {
  std::vector<CpuFeatures> levels;
  for (const char* name : {"amx", "avx2"}) {
    const CpuFeatures features = LimitFeatures(HostFeatures(), name);
    if (Has(features, Needs::kVectors)) levels.push_back(features);
  }
  return levels;
}

// Every 97th float of [from, to], counted in bits: dense where floats are.
std::vector<float> Sweep(float from, float to) {
  std::vector<float> values;
  const auto add = [&](float low, float high, float sign) {
    for (uint32_t bits = std::bit_cast<uint32_t>(low);
         bits <= std::bit_cast<uint32_t>(high); bits += 97)
      values.push_back(sign * std::bit_cast<float>(bits));
  };
  if (from < 0) add(1e-8f, -from, -1);
  if (to > 0) add(1e-8f, to, 1);
  while (values.size() % kPanel != 0) values.push_back(0);
  return values;
}

float Place(double value) {
  const float f = static_cast<float>(std::abs(value));
  return std::nextafter(f, std::numeric_limits<float>::infinity()) - f;
}

TEST(Exp, IsWithinTwoPlaces) {
  const std::vector<float> x = Sweep(-87.0f, 88.3f);
  std::vector<float> y(x.size());
  for (const CpuFeatures& features : VectorLevels()) {
    HWY_DISPATCH_TABLE(ExpAll)
    [DispatchIndex(features)](x.data(), y.data(),
                              static_cast<int64_t>(x.size()));
    double worst = 0;
    for (size_t i = 0; i < x.size(); ++i) {
      const double want = std::exp(static_cast<double>(x[i]));
      worst = std::max(worst, std::abs(static_cast<double>(y[i]) - want) /
                                  static_cast<double>(Place(want)));
    }
    EXPECT_LE(worst, 2.0) << features.ToString();
  }
}

TEST(Exp, EndsInZeroAndInLargeNumbers) {
  const float infinity = std::numeric_limits<float>::infinity();
  const std::vector<float> x = {-infinity, -1e30f, -1000, -88,      0, -0.0f,
                                88.5f,     100,    1e30f, infinity, 0, 0,
                                0,         0,      0,     0};
  std::vector<float> y(x.size());
  for (const CpuFeatures& features : VectorLevels()) {
    HWY_DISPATCH_TABLE(ExpAll)
    [DispatchIndex(features)](x.data(), y.data(),
                              static_cast<int64_t>(x.size()));
    for (size_t i = 0; i < 4; ++i) EXPECT_EQ(y[i], 0) << x[i];
    EXPECT_EQ(y[4], 1);
    EXPECT_EQ(y[5], 1);
    for (size_t i = 6; i < 10; ++i) EXPECT_GT(y[i], 2e38f) << x[i];
  }
}

TEST(Gelu, IsWithinFourTenMillionths) {
  const std::vector<float> x = Sweep(-100, 100);
  std::vector<float> y(x.size());
  for (const CpuFeatures& features : VectorLevels()) {
    HWY_DISPATCH_TABLE(GeluAll)
    [DispatchIndex(features)](x.data(), y.data(),
                              static_cast<int64_t>(x.size()));
    double worst = 0;
    for (size_t i = 0; i < x.size(); ++i) {
      const double value = static_cast<double>(x[i]);
      const double want = value / 2 * (1 + std::erf(value * std::sqrt(0.5)));
      const double error = std::abs(static_cast<double>(y[i]) - want);
      worst = std::max(worst, error / std::max(1e-8, std::abs(value)));
    }
    EXPECT_LE(worst, 4e-7) << features.ToString();
  }
}

TEST(Gelu, VanishesForLargeNegativeNumbers) {
  std::vector<float> x(kPanel, -50.0f), y(kPanel, 1.0f);
  for (const CpuFeatures& features : VectorLevels()) {
    HWY_DISPATCH_TABLE(GeluAll)
    [DispatchIndex(features)](x.data(), y.data(), kPanel);
    EXPECT_EQ(y[0], 0);
  }
}

}  // namespace
}  // namespace sotto::cpu
#endif  // HWY_ONCE
