// SPDX-License-Identifier: MIT
#include "audio/log_mel.h"

#include <gtest/gtest.h>

namespace sotto {
namespace {

TEST(MelFilters, BandsHaveUnitArea) {
  // A triangle's area in Hz, sampled every 40 Hz: exact for wide bands.
  const std::vector<float> filters = MelFilters(80);
  double area = 0;
  for (int k = 0; k < kSpectrum; ++k)
    area += 40.0 * filters[static_cast<size_t>(79) * kSpectrum + k];
  EXPECT_NEAR(area, 1.0, 0.02);
}

}  // namespace
}  // namespace sotto
