// SPDX-License-Identifier: MIT
// N6: launches counted as often as they are made, with their sources.
#include "npu/run/launch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <sstream>

#include "npu/sim/parameters.h"

namespace sotto::npu {
namespace {

constexpr auto kBF16 = EncoderPrecision::kBF16;

TEST(NpuLaunch, N6DefaultIsAPublishedOneWithItsSource) {
  bool found = false;
  double before = 0;
  for (const PublishedLaunch& launch : PublishedLaunches()) {
    EXPECT_GT(launch.ms, before);
    before = launch.ms;
    EXPECT_FALSE(launch.source.empty());
    found = found || launch.ms == SimParameters().launch_ms;
  }
  EXPECT_TRUE(found);
}

TEST(NpuLaunch, N6EachLaunchCounts) {
  const auto series = LaunchSensitivity(50, {}, kBF16);
  ASSERT_EQ(series.size(), 4u);
  EXPECT_EQ(series[0].launches, 1);
  EXPECT_EQ(series[3].launches, 27648);
  for (const LaunchSeries& s : series) {
    ASSERT_EQ(s.ms.size(), PublishedLaunches().size());
    for (size_t i = 0; i < s.ms.size(); ++i)
      EXPECT_NEAR(
          s.ms[i],
          50 + static_cast<double>(s.launches) * PublishedLaunches()[i].ms,
          1e-9);
  }
  for (size_t i = 1; i < series.size(); ++i)
    EXPECT_GT(series[i].launches, series[i - 1].launches);
}

// The picture's lines rise with the launch and lie above each other.
TEST(NpuLaunch, N6PictureShowsTheSeries) {
  const auto series = LaunchSensitivity(50, {}, kBF16);
  const std::string svg = LaunchSvg(series, "a title");
  EXPECT_THAT(svg, testing::HasSubstr("a title"));
  std::vector<std::vector<double>> heights;
  std::istringstream lines(svg);
  for (std::string line; std::getline(lines, line);) {
    const size_t at = line.find("points=\"");
    if (at == std::string::npos) continue;
    std::istringstream points(line.substr(at + 8, line.rfind('"') - at - 8));
    heights.emplace_back();
    double x = 0, y = 0, last_x = 0;
    char comma = 0;
    while (points >> x >> comma >> y) {
      EXPECT_GT(x, last_x);
      last_x = x;
      heights.back().push_back(y);
    }
  }
  ASSERT_EQ(heights.size(), series.size());
  for (size_t s = 0; s < heights.size(); ++s) {
    ASSERT_EQ(heights[s].size(), PublishedLaunches().size());
    EXPECT_LE(heights[s].back(), heights[s].front());
    if (s > 0) {
      EXPECT_LT(heights[s].back(), heights[s - 1].back());
    }
  }
  for (const LaunchSeries& s : series)
    EXPECT_THAT(LaunchTable(series), testing::HasSubstr(s.what));
}

}  // namespace
}  // namespace sotto::npu
