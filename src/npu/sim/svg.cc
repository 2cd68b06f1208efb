// SPDX-License-Identifier: MIT
#include "npu/sim/svg.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <tuple>
#include <vector>

#include "npu/sim/routes.h"

namespace sotto::npu {
namespace {

using Kind = TraceSpan::Kind;

constexpr int kRowHeight = 14;
constexpr int kLabelWidth = 110;
constexpr int kTop = 24;

constexpr const char* ColourOf(Kind kind) {
  return kind == Kind::kCompute    ? "#2b7a3d"
         : kind == Kind::kTransfer ? "#2f6db5"
                                   : "#d9b44a";
}

std::string Escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '&':
        out += "&amp;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string LaneName(TileId tile, int lane) {
  if (lane < 0) return "controller";
  if (lane == 0) return tile.ToString() + " core";
  const int channels = LimitsOf(KindOf(tile)).dma_channels;
  const bool mm2s = lane > channels;
  return fmt::format("{} {} {}", tile.ToString(), mm2s ? "MM2S" : "S2MM",
                     lane - 1 - (mm2s ? channels : 0));
}

std::string Head(int width, int height) {
  return fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" "
      "viewBox=\"0 0 {0} {1}\" font-family=\"sans-serif\" "
      "font-size=\"10\">\n<rect width=\"{0}\" height=\"{1}\" "
      "fill=\"white\"/>\n",
      width, height);
}

std::string Text(double x, double y, std::string_view text,
                 std::string_view more = "") {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\"{}{}>{}</text>\n", x, y,
                     more.empty() ? "" : " ", more, Escaped(text));
}

// One row's intervals; those that would share a pixel become one.
std::string Row(std::vector<const TraceSpan*> spans, double y, int64_t from,
                double scale) {
  std::sort(spans.begin(), spans.end(),
            [](const TraceSpan* a, const TraceSpan* b) {
              return std::pair(a->from, a->to) < std::pair(b->from, b->to);
            });
  std::string out;
  size_t i = 0;
  while (i < spans.size()) {
    const TraceSpan& first = *spans[i];
    int64_t end = first.to;
    size_t n = 1;
    while (i + n < spans.size() && spans[i + n]->kind == first.kind &&
           static_cast<double>(spans[i + n]->from - end) * scale < 1 &&
           static_cast<double>(end - first.from) * scale < 1) {
      end = std::max(end, spans[i + n]->to);
      ++n;
    }
    const double x =
        kLabelWidth + static_cast<double>(first.from - from) * scale;
    const double width =
        std::max(0.5, static_cast<double>(end - first.from) * scale);
    const std::string what =
        n == 1 ? first.what : fmt::format("{} and {} more", first.what, n - 1);
    const bool wait = first.kind == Kind::kWait;
    out += fmt::format(
        "<rect x=\"{:.2f}\" y=\"{:.1f}\" width=\"{:.2f}\" height=\"{}\" "
        "fill=\"{}\"><title>{}: {} to {} cycles</title></rect>\n",
        x, y + (wait ? 5 : 2), width, wait ? 3 : 9, ColourOf(first.kind),
        Escaped(what), first.from, end);
    i += n;
  }
  return out;
}

}  // namespace

std::string TimelineSvg(std::span<const TraceSpan> trace,
                        const TimelineOptions& options) {
  std::map<std::tuple<int, int, int>, std::vector<const TraceSpan*>> rows;
  int64_t last = options.to;
  for (const TraceSpan& span : trace) {
    if (options.to == 0) last = std::max(last, span.to);
  }
  for (const TraceSpan& span : trace) {
    if (span.to <= options.from || span.from >= last) continue;
    rows[{span.tile.col, span.tile.row, span.lane}].push_back(&span);
  }
  const int64_t cycles = std::max<int64_t>(last - options.from, 1);
  const double scale = static_cast<double>(options.width - kLabelWidth - 10) /
                       static_cast<double>(cycles);
  const int height = kTop + kRowHeight * static_cast<int>(rows.size()) + 40;
  std::string out = Head(options.width, height);
  out += Text(kLabelWidth, 14,
              fmt::format("cycles {} to {} (modelled)", options.from, last),
              "font-weight=\"bold\"");
  double y = kTop;
  for (const auto& [key, spans] : rows) {
    const auto [col, row, lane] = key;
    out += Text(4, y + 10, LaneName({col, row}, lane));
    out += Row(spans, y, options.from, scale);
    y += kRowHeight;
  }
  double x = kLabelWidth;
  for (const auto& [kind, name] : {std::pair(Kind::kCompute, "kernel"),
                                   std::pair(Kind::kTransfer, "transfer"),
                                   std::pair(Kind::kWait, "wait")}) {
    out += fmt::format(
        "<rect x=\"{}\" y=\"{}\" width=\"10\" height=\"9\" fill=\"{}\"/>\n", x,
        y + 14, ColourOf(kind));
    out += Text(x + 14, y + 22, name);
    x += 80;
  }
  return out + "</svg>\n";
}

namespace {

constexpr int kTile = 120;
constexpr int kGap = 36;
constexpr int kMargin = 20;

double TileX(TileId tile) { return kMargin + tile.col * (kTile + kGap); }
double TileY(TileId tile) {
  return kMargin + (kRows - 1 - tile.row) * (kTile * 0.6 + kGap);
}

// Distinct kernels of a program, in the order of their first call.
std::vector<std::string> KernelsOf(const TileConfig& config) {
  std::vector<std::string> names;
  for (const CoreOp& op : config.program) {
    if (op.kind != CoreOp::Kind::kCall) continue;
    if (std::find(names.begin(), names.end(), op.kernel) == names.end()) {
      names.push_back(op.kernel);
    }
  }
  return names;
}

std::string TileBox(TileId tile, const TileConfig* config,
                    const SimReport* report) {
  const double x = TileX(tile);
  const double y = TileY(tile);
  const double height = kTile * 0.6;
  double busy = 0;
  if (report != nullptr && report->cycles > 0) {
    const auto found = report->cores.find(tile);
    if (found != report->cores.end()) {
      busy = static_cast<double>(found->second.compute) /
             static_cast<double>(report->cycles);
    }
  }
  const char* fill = config == nullptr      ? "#f4f4f4"
                     : tile.row == kShimRow ? "#e3e8f0"
                     : tile.row == kMemRow  ? "#f0e8da"
                                            : "#e6f0e6";
  std::string out = fmt::format(
      "<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{}\" height=\"{:.1f}\" "
      "fill=\"{}\" stroke=\"#888\"/>\n",
      x, y, kTile, height, fill);
  if (busy > 0) {
    out += fmt::format(
        "<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"5\" "
        "fill=\"#2b7a3d\"/>\n",
        x, y + height - 5, kTile * std::min(busy, 1.0));
  }
  const char* kind = tile.row == kShimRow  ? "shim"
                     : tile.row == kMemRow ? "mem"
                                           : "core";
  out += Text(x + 4, y + 12, fmt::format("{} {}", kind, tile.ToString()),
              "font-weight=\"bold\"");
  if (config == nullptr) return out;
  double line = y + 24;
  int64_t bytes = 0;
  for (const PlacedBuffer& b : config->buffers) bytes += b.bytes;
  if (bytes > 0) {
    out += Text(x + 4, line,
                fmt::format("{} buffers, {:.1f} KB", config->buffers.size(),
                            static_cast<double>(bytes) / 1024));
    line += 11;
  }
  const std::vector<std::string> kernels = KernelsOf(*config);
  for (size_t i = 0; i < kernels.size() && i < 2; ++i) {
    out += Text(x + 4, line, kernels[i]);
    line += 11;
  }
  if (kernels.size() > 2) {
    out += Text(x + 4, line, fmt::format("and {} more", kernels.size() - 2));
    line += 11;
  }
  if (busy > 0) {
    out +=
        Text(x + 4, y + height - 8, fmt::format("busy {:.0f} %", 100 * busy));
  }
  return out;
}

}  // namespace

std::string ArrayMapSvg(const ArrayConfig& config, const SimReport* report) {
  const int width = 2 * kMargin + kColumns * (kTile + kGap) - kGap;
  const int height =
      static_cast<int>(2 * kMargin + kRows * (kTile * 0.6 + kGap));
  std::string out = Head(width, height);
  // Streams below the tiles, one line from source to each end.
  static constexpr const char* kColours[] = {"#2f6db5", "#b5442f", "#7a3fa0",
                                             "#1f8a8a", "#b58a2f", "#5a5a5a"};
  size_t colour = 0;
  for (const Route& route : TraceRoutes(config)) {
    for (const RouteEnd& end : route.ends) {
      const double shift = 6.0 * static_cast<double>(colour % 12) - 33;
      const auto x = [&](TileId t) { return TileX(t) + kTile / 2.0 + shift; };
      const auto y = [&](TileId t) { return TileY(t) + kTile * 0.3; };
      out += fmt::format(
          "<polyline points=\"{:.1f},{:.1f} {:.1f},{:.1f} {:.1f},{:.1f}\" "
          "fill=\"none\" stroke=\"{}\" stroke-width=\"1.2\" opacity=\"0.7\">"
          "<title>{} MM2S {} to {} S2MM {}</title></polyline>\n",
          x(route.tile), y(route.tile), x(route.tile), y(end.tile), x(end.tile),
          y(end.tile), kColours[colour % std::size(kColours)],
          route.tile.ToString(), route.channel, end.tile.ToString(),
          end.channel);
    }
    ++colour;
  }
  for (int col = 0; col < kColumns; ++col) {
    for (int row = 0; row < kRows; ++row) {
      const TileId tile{col, row};
      const auto found = config.tiles.find(tile);
      out +=
          "<g opacity=\"0.9\">\n" +
          TileBox(tile, found == config.tiles.end() ? nullptr : &found->second,
                  report) +
          "</g>\n";
    }
  }
  std::string title = config.name;
  if (report != nullptr) {
    title += fmt::format(
        ": {} cycles, cores {:.0f} % busy, imbalance {:.0f} % "
        "(modelled)",
        report->cycles, 100 * report->Utilisation(), 100 * report->Imbalance());
  }
  out += Text(kMargin, height - 8.0, title);
  return out + "</svg>\n";
}

}  // namespace sotto::npu
