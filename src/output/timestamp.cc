// SPDX-License-Identifier: MIT
#include "output/timestamp.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace sotto {

int64_t Milliseconds(double seconds) {
  // A million hours are enough, and keep NaN and infinity out of the cast.
  constexpr double kMost = 3.6e12;
  const double rounded = std::nearbyint(seconds * 1000.0);
  return std::isnan(rounded)
             ? 0
             : static_cast<int64_t>(std::clamp(rounded, 0.0, kMost));
}

std::string FormatTimestamp(double seconds, bool always_hours,
                            char decimal_marker) {
  const int64_t all = Milliseconds(seconds);
  const int64_t hours = all / 3600000;
  std::string out;
  if (always_hours || hours > 0) out = fmt::format("{:02}:", hours);
  return out + fmt::format("{:02}:{:02}{}{:03}", all / 60000 % 60,
                           all / 1000 % 60, decimal_marker, all % 1000);
}

std::string SegmentLine(const Segment& segment) {
  return fmt::format("[{} --> {}] {}", FormatTimestamp(segment.start),
                     FormatTimestamp(segment.end), segment.text);
}

}  // namespace sotto
