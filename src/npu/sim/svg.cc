// SPDX-License-Identifier: MIT
#include "npu/sim/svg.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <span>
#include <tuple>
#include <utility>
#include <vector>

#include "npu/sim/routes.h"

namespace sotto::npu {
namespace {

using Kind = TraceSpan::Kind;

constexpr int kRowHeight = 14;
constexpr int kLabelWidth = 110;
constexpr int kTop = 34;
// How many degrees of being filled a pixel has.
constexpr int kParts = 4;
// Pixels from which an interval is drawn by itself.
constexpr double kAlone = 3;

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

std::string Bar(const TraceSpan::Kind kind, double x, double y, double width,
                int parts, std::string_view title) {
  const bool wait = kind == Kind::kWait;
  return fmt::format(
      "<rect x=\"{:.1f}\" y=\"{}\" width=\"{:.1f}\" height=\"{}\" "
      "fill=\"{}\"{}><title>{}</title></rect>\n",
      x, y + (wait ? 5 : 2), std::max(0.5, width), wait ? 3 : 9, ColourOf(kind),
      parts == kParts ? ""
                      : fmt::format(" opacity=\"{:.2f}\"",
                                    static_cast<double>(parts) / kParts),
      Escaped(title));
}

// Intervals that are too short to be seen alone, of one kind: how much of each
// pixel they fill.
class Pixels {
 public:
  Pixels(int64_t from, double scale, int width)
      : from_(from), scale_(scale), filled_(static_cast<size_t>(width) + 1) {}
  void Add(const TraceSpan& span) {
    const double end = PixelOf(span.to);
    double at = std::max(PixelOf(span.from), 0.0);
    bool begins = true;
    while (at < end && at < static_cast<double>(filled_.size())) {
      Pixel& pixel = filled_[static_cast<size_t>(at)];
      const double next = std::min(std::floor(at) + 1, end);
      pixel.part += next - at;
      if (pixel.what.empty()) pixel.what = span.what;
      pixel.begun += std::exchange(begins, false) ? 1 : 0;
      at = next;
    }
  }
  // Neighbours that are filled about as much are one bar.
  std::string Draw(Kind kind, double y) const {
    std::string out;
    size_t n = 1;
    for (size_t i = 0; i < filled_.size(); i += n) {
      int64_t count = filled_[i].begun;
      for (n = 1; i + n < filled_.size() && Level(i) == Level(i + n); ++n)
        count += filled_[i + n].begun;
      if (Level(i) == 0) continue;
      const auto cycle = [&](size_t pixel) {
        return from_ +
               static_cast<int64_t>(static_cast<double>(pixel) / scale_);
      };
      const std::string what =
          count <= 1
              ? filled_[i].what
              : fmt::format("{} and {} more", filled_[i].what, count - 1);
      out +=
          Bar(kind, kLabelWidth + static_cast<double>(i), y,
              static_cast<double>(n), Level(i),
              fmt::format("{}: {} to {} cycles", what, cycle(i), cycle(i + n)));
    }
    return out;
  }

 private:
  double PixelOf(int64_t cycle) const {
    return static_cast<double>(cycle - from_) * scale_;
  }
  struct Pixel {
    double part = 0;
    int64_t begun = 0;  // intervals
    std::string what;   // of the first
  };
  int Level(size_t i) const {
    const Pixel& pixel = filled_[i];
    return pixel.part == 0
               ? 0
               : std::clamp(static_cast<int>(std::lround(kParts * pixel.part)),
                            1, kParts);
  }
  int64_t from_;
  double scale_;
  std::vector<Pixel> filled_;
};

std::string Row(std::span<const TraceSpan* const> spans, double y, int64_t from,
                double scale, int width) {
  std::string out;
  for (const Kind kind : {Kind::kWait, Kind::kTransfer, Kind::kCompute}) {
    Pixels pixels(from, scale, width);
    for (const TraceSpan* span : spans) {
      if (span->kind != kind) continue;
      const double length = static_cast<double>(span->to - span->from) * scale;
      if (length < kAlone) {
        pixels.Add(*span);
        continue;
      }
      out += Bar(
          kind, kLabelWidth + static_cast<double>(span->from - from) * scale, y,
          length, kParts,
          fmt::format("{}: {} to {} cycles", span->what, span->from, span->to));
    }
    out += pixels.Draw(kind, y);
  }
  return out;
}

// Cycles where a line helps the eye: 1, 2 or 5 times a power of ten, at most
// ten lines.
std::string Ticks(int64_t from, int64_t to, double scale, int bottom) {
  int64_t step = 1;
  for (int i = 0; (to - from) / step > 10; ++i)
    step = step * (i % 3 == 1 ? 5 : 4) / 2;
  std::string out;
  for (int64_t at = (from + step - 1) / step * step; at <= to; at += step) {
    const double x = kLabelWidth + static_cast<double>(at - from) * scale;
    out += fmt::format(
        "<line x1=\"{0:.1f}\" x2=\"{0:.1f}\" y1=\"{1}\" y2=\"{2}\" "
        "stroke=\"#ddd\"/>\n",
        x, kTop, bottom);
    out += Text(x, kTop - 2, std::to_string(at),
                at == to ? "text-anchor=\"end\"" : "text-anchor=\"middle\"");
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
  const int width = options.width - kLabelWidth - 20;
  const double scale = static_cast<double>(width) / static_cast<double>(cycles);
  const int bottom = kTop + kRowHeight * static_cast<int>(rows.size());
  const int height = bottom + 40;
  std::string out = Head(options.width, height);
  out += Text(kLabelWidth, 14,
              fmt::format("cycles {} to {} (modelled)", options.from, last),
              "font-weight=\"bold\"");
  out += Ticks(options.from, last, scale, bottom);
  double y = kTop;
  for (const auto& [key, spans] : rows) {
    const auto [col, row, lane] = key;
    out += Text(4, y + 10, LaneName({col, row}, lane));
    out += Row(spans, y, options.from, scale, width);
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
