// SPDX-License-Identifier: MIT
#include "npu/encoder/calibration.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/file.h"
#include "npu/kernels/device.h"
#include "tensor/half.h"

namespace sotto::npu {
namespace {

// Exponents chosen by what base keeps of its encoder's output on speech that
// was not calibrated on: with 12 bits the weights' rounding is what hurts.
constexpr double kNormEvening = 0.85;
constexpr double kWideEvening = 0.5;
// Features that speech shows seldom: a channel may go further than it did while
// calibrating, and 12 bits have room for it.
constexpr float kWideRoom = 2;
constexpr float kLeast = 1e-5F;  // a channel that is always zero
constexpr std::string_view kHeader = "sotto npu scales 4";
constexpr std::string_view kRounding = "rounding";
constexpr std::string_view kAnyHeader = "sotto npu scales ";

// To 16 bits of mantissa: bf16 and what it leaves in bf16.
float Round16(float x) {
  const float high = ToFloat(ToBF16(x));
  return high + ToFloat(ToBF16(x - high));
}

// Sites of a layer and their width as multiples of tiles.
int WidthOf(const EncoderShape& shape, std::string_view site) {
  return site == "h" ? shape.ffn : shape.width;
}
constexpr std::string_view kLayerSites[] = {"ln1",  "q",   "k", "v",
                                            "attn", "ln2", "h"};

// Takes words off a line.
std::string_view Word(std::string_view* line) {
  const size_t begin = std::min(line->find_first_not_of(' '), line->size());
  line->remove_prefix(begin);
  const size_t end = std::min(line->find(' '), line->size());
  const std::string_view word = line->substr(0, end);
  line->remove_prefix(end);
  return word;
}

template <typename T>
T Number(std::string_view word, std::string_view file, int line) {
  T value{};
  const auto [end, error] =
      std::from_chars(word.data(), word.data() + word.size(), value);
  if (error != std::errc() || end != word.data() + word.size())
    Fail(ErrorCode::kBadInput, "{}:{}: '{}' is no number", file, line, word);
  return value;
}

// The rest of a line "rounding matrix rows columns signature offsets".
void ReadRounding(std::string_view line, std::string_view file, int number,
                  Calibration* found) {
  const std::string matrix(Word(&line));
  Rounding rounding;
  rounding.rows = Number<int>(Word(&line), file, number);
  rounding.columns = Number<int>(Word(&line), file, number);
  for (int64_t& sum : rounding.signature)
    sum = Number<int64_t>(Word(&line), file, number);
  rounding.ReadOffsets(Word(&line),
                       fmt::format("{}:{}: {}", file, number, matrix));
  found->roundings.emplace(matrix, std::move(rounding));
}

}  // namespace

void Calibration::See(std::string_view site, std::span<const float> values,
                      size_t channels) {
  SOTTO_CHECK(!values.empty() && values.size() % channels == 0);
  std::vector<float> turned;
  if (site.ends_with(".q") || site.ends_with(".k")) {
    turned.assign(values.begin(), values.end());
    RotateHeads(turned);
    values = turned;
  }
  auto at = ranges.find(site);
  if (at == ranges.end()) {
    at = ranges.emplace(site, std::vector<Range>(channels)).first;
    for (size_t c = 0; c < channels; ++c)
      at->second[c] = {values[c], values[c]};
  }
  SOTTO_CHECK(at->second.size() == channels);
  for (size_t i = 0; i < values.size(); i += channels)
    for (size_t c = 0; c < channels; ++c) {
      Range& range = at->second[c];
      range.least = std::min(range.least, values[i + c]);
      range.largest = std::max(range.largest, values[i + c]);
    }
}

std::span<const Range> Calibration::Of(std::string_view site) const {
  const auto at = ranges.find(site);
  if (at == ranges.end())
    Fail(ErrorCode::kBadInput, "npu scales: no site {}", site);
  return at->second;
}

void Calibration::Check(const EncoderShape& shape) const {
  const auto want = [&](const std::string& site, int channels) {
    if (Of(site).size() != static_cast<size_t>(channels))
      Fail(ErrorCode::kBadInput,
           "npu scales: site {} has {} channels, the model has {}", site,
           Of(site).size(), channels);
  };
  want("stem.h", 3 * shape.width);
  for (int i = 0; i < shape.layers; ++i)
    for (const std::string_view site : kLayerSites)
      want(fmt::format("{}.{}", i, site), WidthOf(shape, site));
}

std::string Calibration::ToText() const {
  std::string text = fmt::format("{}\nwindows {}\n", kHeader, windows);
  for (const auto& [site, channels] : ranges) {
    text += fmt::format("{} {}", site, channels.size());
    for (const Range& range : channels)
      text += fmt::format(" {:.6g} {:.6g}", range.least, range.largest);
    text += '\n';
  }
  for (const auto& [matrix, rounding] : roundings)
    text += fmt::format("{} {} {} {} {} {}\n", kRounding, matrix, rounding.rows,
                        rounding.columns, fmt::join(rounding.signature, " "),
                        rounding.OffsetsText());
  return text;
}

Calibration Calibration::Parse(std::string_view text, std::string_view file) {
  Calibration found;
  int number = 0;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (++number == 1) {
      if (line == kHeader) continue;
      if (line.starts_with(kAnyHeader))
        Fail(ErrorCode::kBadInput,
             "{}:1: scales of version {}, want {}: run `sotto npu calibrate` "
             "again",
             file, line.substr(kAnyHeader.size()),
             kHeader.substr(kAnyHeader.size()));
      Fail(ErrorCode::kBadInput, "{}:1: want '{}'", file, kHeader);
    }
    const std::string_view site = Word(&line);
    if (site.empty()) continue;
    if (site == kRounding) {
      ReadRounding(line, file, number, &found);
      continue;
    }
    const auto count = Number<int>(Word(&line), file, number);
    if (site == "windows") {
      found.windows = count;
      continue;
    }
    std::vector<Range> channels;
    while (line.find_first_not_of(' ') != std::string_view::npos) {
      const auto least = Number<float>(Word(&line), file, number);
      const auto largest = Number<float>(Word(&line), file, number);
      if (!(least <= largest) || std::isinf(least) || std::isinf(largest))
        Fail(ErrorCode::kBadInput, "{}:{}: {} to {} is no range", file, number,
             least, largest);
      channels.push_back({least, largest});
    }
    if (channels.size() != static_cast<size_t>(count))
      Fail(ErrorCode::kBadInput, "{}:{}: {} says {} channels, there are {}",
           file, number, site, count, channels.size());
    found.ranges.emplace(site, std::move(channels));
  }
  if (number == 0) Fail(ErrorCode::kBadInput, "{}: is empty", file);
  return found;
}

Calibration Calibration::Load(const std::filesystem::path& path) {
  return Parse(ReadFile(path), path.string());
}

void Calibration::Save(const std::filesystem::path& path) const {
  WriteFileAtomic(path, ToText());
}

std::filesystem::path CalibrationPath(const std::filesystem::path& weights) {
  std::error_code ignored;
  const auto folder = std::filesystem::is_directory(weights, ignored)
                          ? weights
                          : weights.parent_path();
  return folder / kCalibrationFile;
}

void RotateHeads(std::span<float> values) {
  SOTTO_CHECK(values.size() % kTile == 0);
  for (size_t head = 0; head < values.size(); head += kTile) {
    float* v = values.data() + head;
    for (int step = 1; step < kTile; step *= 2)
      for (int i = 0; i < kTile; ++i) {
        if ((i & step) != 0) continue;
        const float a = v[i], b = v[i + step];
        v[i] = a + b;
        v[i + step] = a - b;
      }
    for (int i = 0; i < kTile; ++i) v[i] /= 8;
  }
}

Codes InputCodes(std::span<const Range> activations,
                 std::span<const float> weight_largest, CodesOf of) {
  SOTTO_CHECK(activations.size() == weight_largest.size());
  const size_t n = activations.size();
  const bool gelu = of == CodesOf::kGelu;
  const bool wide = of != CodesOf::kNorm;
  const float room = wide ? kWideRoom : 1;
  const double evening = wide ? kWideEvening : kNormEvening;
  std::vector<float> half(n);
  for (size_t i = 0; i < n; ++i) {
    const Range& range = activations[i];
    half[i] =
        std::max(gelu ? (room * std::max(range.largest, 0.0F) + kGeluDepth) / 2
                      : room * range.half(),
                 kLeast);
  }
  Codes codes{wide ? kWideCodes : 127, std::vector<float>(n),
              std::vector<float>(n)};
  double factor = 0;
  for (size_t i = 0; i < n; ++i) {
    const double a = half[i];
    const double w = std::max(weight_largest[i], kLeast);
    const double even = std::pow(a, evening) / std::pow(w, 1 - evening);
    codes.steps[i] = static_cast<float>(even);
    factor = std::max(factor, a / even);
  }
  for (size_t i = 0; i < n; ++i) {
    float& step = codes.steps[i];
    step = static_cast<float>(step * (factor / codes.most));
    if (gelu) {
      const float scale = Round16(1 / step);
      step = 1 / scale;
      codes.zeros[i] = std::nearbyint(scale * kGeluDepth) -
                       static_cast<float>(codes.most + 1);
    } else {
      codes.zeros[i] = -activations[i].middle() / step;
    }
  }
  return codes;
}

}  // namespace sotto::npu
