// SPDX-License-Identifier: MIT
// What launches cost an encoder: once, or as often as others launch.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "npu/encoder/shape.h"

namespace sotto::npu {

// A host's launch as somebody published it.
struct PublishedLaunch {
  double ms;
  std::string_view what;
  std::string_view source;
};
// Shortest first; SimParameters::launch_ms is one of them.
std::span<const PublishedLaunch> PublishedLaunches();

struct LaunchSeries {
  std::string what;  // "one submission"
  int64_t launches = 0;
  std::vector<double> ms;  // for each of PublishedLaunches: modelled
};
// An encoder whose array works for `array_ms`, submitted as one, a layer at a
// time, an operation at a time, and an attention tile at a time.
std::vector<LaunchSeries> LaunchSensitivity(double array_ms,
                                            const EncoderShape& shape,
                                            EncoderPrecision precision);

// As a table of text, and as a picture (both axes logarithmic).
std::string LaunchTable(std::span<const LaunchSeries> series);
std::string LaunchSvg(std::span<const LaunchSeries> series,
                      std::string_view title);

}  // namespace sotto::npu
