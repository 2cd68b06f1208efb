// SPDX-License-Identifier: MIT
#include "npu/encoder/calibration.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/file.h"

namespace sotto::npu {
namespace {

constexpr double kEvening = 0.65;
constexpr float kLeast = 1e-5F;  // a channel that is always zero
constexpr std::string_view kHeader = "sotto npu scales 1";

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

}  // namespace

void Calibration::See(std::string_view site, std::span<const float> values,
                      size_t channels) {
  auto at = largest.find(site);
  if (at == largest.end())
    at = largest.emplace(site, std::vector<float>(channels)).first;
  SOTTO_CHECK(at->second.size() == channels && values.size() % channels == 0);
  for (size_t i = 0; i < values.size(); i += channels)
    for (size_t c = 0; c < channels; ++c)
      at->second[c] = std::max(at->second[c], std::abs(values[i + c]));
}

std::span<const float> Calibration::Of(std::string_view site) const {
  const auto at = largest.find(site);
  if (at == largest.end())
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
  for (const auto& [site, values] : largest)
    text += fmt::format("{} {} {:.6g}\n", site, values.size(),
                        fmt::join(values, " "));
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
      if (line != kHeader)
        Fail(ErrorCode::kBadInput, "{}:1: want '{}'", file, kHeader);
      continue;
    }
    const std::string_view site = Word(&line);
    if (site.empty()) continue;
    const auto count = Number<int>(Word(&line), file, number);
    if (site == "windows") {
      found.windows = count;
      continue;
    }
    std::vector<float> values;
    while (line.find_first_not_of(' ') != std::string_view::npos) {
      values.push_back(Number<float>(Word(&line), file, number));
      if (!(values.back() >= 0) || std::isinf(values.back()))
        Fail(ErrorCode::kBadInput, "{}:{}: {} is no magnitude", file, number,
             values.back());
    }
    if (values.size() != static_cast<size_t>(count))
      Fail(ErrorCode::kBadInput, "{}:{}: {} says {} channels, there are {}",
           file, number, site, count, values.size());
    found.largest.emplace(site, std::move(values));
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

std::vector<float> InputSteps(std::span<const float> activation_largest,
                              std::span<const float> weight_largest) {
  SOTTO_CHECK(activation_largest.size() == weight_largest.size());
  std::vector<float> steps(activation_largest.size());
  double factor = 0;
  for (size_t i = 0; i < steps.size(); ++i) {
    const double a = std::max(activation_largest[i], kLeast);
    const double w = std::max(weight_largest[i], kLeast);
    const double even = std::pow(a, kEvening) / std::pow(w, 1 - kEvening);
    steps[i] = static_cast<float>(even);
    factor = std::max(factor, a / even);
  }
  for (float& step : steps) step = static_cast<float>(step * (factor / 127));
  return steps;
}

}  // namespace sotto::npu
