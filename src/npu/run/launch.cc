// SPDX-License-Identifier: MIT
#include "npu/run/launch.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "npu/encoder/array_layout.h"
#include "npu/run/tiles.h"

namespace sotto::npu {
namespace {

constexpr PublishedLaunch kLaunches[] = {
    {0.031, "16 runs in a list", "amd/xdna-driver pull request 135"},
    {0.056, "one run in a list", "amd/xdna-driver pull request 135"},
    {0.1, "one run, an empty kernel's 0.103 to 0.122", "Unicorn-Amanuensis"},
    {0.15, "one run from Python", "mlir-aie, nightly benchmark"}};

constexpr int kPictureWidth = 720, kPictureHeight = 380;
constexpr int kLeft = 70, kRight = 560, kTop = 40, kBottom = 330;
constexpr std::array<const char*, 4> kColours = {"#2b7a3d", "#2f6db5",
                                                 "#d9822b", "#b5352f"};

// Where a value lies between two, both logarithmic.
double Along(double value, double low, double high) {
  return std::log(value / low) / std::log(high / low);
}

std::string Text(double x, double y, std::string_view anchor,
                 std::string_view text) {
  return fmt::format(
      "<text x=\"{:.0f}\" y=\"{:.0f}\" text-anchor=\"{}\">{}</text>\n", x, y,
      anchor, text);
}

}  // namespace

std::span<const PublishedLaunch> PublishedLaunches() { return kLaunches; }

std::vector<LaunchSeries> LaunchSensitivity(double array_ms,
                                            const EncoderShape& shape,
                                            EncoderPrecision precision) {
  const auto operations =
      static_cast<int64_t>(MakeArrayLayout(shape, precision).phases.size());
  std::vector<LaunchSeries> all = {
      {"one submission", 1, {}},
      {"one a layer", shape.layers, {}},
      {"one an operation", operations, {}},
      {"one a tile of attention",
       AttentionTiles(shape.positions(), kTile, shape.heads, shape.layers),
       {}}};
  for (LaunchSeries& series : all)
    for (const PublishedLaunch& launch : kLaunches)
      series.ms.push_back(array_ms +
                          static_cast<double>(series.launches) * launch.ms);
  return all;
}

std::string LaunchTable(std::span<const LaunchSeries> series) {
  std::string text = fmt::format("{:32}", "launch, ms");
  for (const PublishedLaunch& launch : kLaunches)
    text += fmt::format("{:>10}", launch.ms);
  text += '\n';
  for (const LaunchSeries& s : series) {
    text += fmt::format("{:24}{:8}", s.what, s.launches);
    for (const double ms : s.ms) text += fmt::format("{:10.1f}", ms);
    text += '\n';
  }
  return text;
}

std::string LaunchSvg(std::span<const LaunchSeries> series,
                      std::string_view title) {
  double least = 1e30, most = 0;
  for (const LaunchSeries& s : series) {
    least = std::min(least, *std::min_element(s.ms.begin(), s.ms.end()));
    most = std::max(most, *std::max_element(s.ms.begin(), s.ms.end()));
  }
  // Whole decades.
  const double low = std::pow(10, std::floor(std::log10(least)));
  const double high = std::pow(10, std::ceil(std::log10(most)));
  const double first = kLaunches[0].ms, last = std::rbegin(kLaunches)->ms;
  const auto x = [&](double ms) {
    return kLeft + (kRight - kLeft) * Along(ms, first, last);
  };
  const auto y = [&](double ms) {
    return kBottom - (kBottom - kTop) * Along(ms, low, high);
  };
  std::string svg = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" "
      "viewBox=\"0 0 {0} {1}\" font-family=\"sans-serif\" font-size=\"12\">\n"
      "<rect width=\"{0}\" height=\"{1}\" fill=\"white\"/>\n",
      kPictureWidth, kPictureHeight);
  svg += Text(kLeft, 20, "start", title);
  for (double decade = low; decade <= high * 1.001; decade *= 10) {
    svg += fmt::format(
        "<line x1=\"{}\" x2=\"{}\" y1=\"{:.1f}\" y2=\"{:.1f}\" "
        "stroke=\"#ccc\"/>\n",
        kLeft, kRight, y(decade), y(decade));
    svg +=
        Text(kLeft - 6, y(decade) + 4, "end", fmt::format("{:g} ms", decade));
  }
  for (const PublishedLaunch& launch : kLaunches) {
    svg += fmt::format(
        "<line x1=\"{0:.1f}\" x2=\"{0:.1f}\" y1=\"{1}\" y2=\"{2}\" "
        "stroke=\"#eee\"/>\n",
        x(launch.ms), kTop, kBottom);
    svg += Text(x(launch.ms), kBottom + 18, "middle",
                fmt::format("{:g}", launch.ms));
  }
  svg += Text((kLeft + kRight) / 2.0, kBottom + 38, "middle",
              "launch, ms, as published");
  // Names beside the lines' ends, never on one another.
  std::vector<double> labels(series.size());
  double above = 0;
  for (size_t i = series.size(); i-- > 0;)
    above = labels[i] = std::max(y(series[i].ms.back()) + 4, above + 14);
  for (size_t i = 0; i < series.size(); ++i) {
    const char* colour = kColours[i % kColours.size()];
    svg += fmt::format(
        "<polyline fill=\"none\" stroke=\"{}\" "
        "stroke-width=\"2\" points=\"",
        colour);
    for (size_t p = 0; p < series[i].ms.size(); ++p)
      svg += fmt::format("{}{:.1f},{:.1f}", p == 0 ? "" : " ",
                         x(kLaunches[p].ms), y(series[i].ms[p]));
    svg += "\"/>\n";
    svg += fmt::format("<g fill=\"{}\">", colour) +
           Text(kRight + 8, labels[i], "start", series[i].what) + "</g>\n";
  }
  return svg + "</svg>\n";
}

}  // namespace sotto::npu
