// SPDX-License-Identifier: MIT
#include "decode/options.h"

#include <charconv>
#include <cmath>
#include <string>

#include "base/error.h"
#include "decode/text_of.h"

namespace sotto {
namespace {

constexpr size_t kMostTemperatures = 1000;

// Calls `take` with each part between commas, without spaces around it; an
// empty text has no parts.
template <typename Take>
void ForEachPart(std::string_view text, Take take) {
  if (StripSpace(text).empty()) return;
  while (true) {
    const size_t comma = text.find(',');
    take(StripSpace(text.substr(0, comma)));
    if (comma == std::string_view::npos) return;
    text.remove_prefix(comma + 1);
  }
}

// For messages, which are one line.
std::string OneLine(std::string_view text) {
  std::string line(text.substr(0, 200));
  for (char& c : line)
    if (c >= 0 && c < ' ') c = ' ';
  return line;
}

template <typename T>
bool ParseNumber(std::string_view text, T* value) {
  const char* const end = text.data() + text.size();
  const auto result = std::from_chars(text.data(), end, *value);
  return result.ec == std::errc() && result.ptr == end;
}

}  // namespace

std::vector<int> ParseSuppressTokens(std::string_view text) {
  std::vector<int> tokens;
  ForEachPart(text, [&](std::string_view part) {
    int token = 0;
    if (!ParseNumber(part, &token) || token < -1)
      Fail(ErrorCode::kBadInput,
           "suppress_tokens: '{}' in '{}' is no token id, want a comma list of "
           "ids from 0 on, or -1 for the non-speech symbols",
           OneLine(part), OneLine(text));
    tokens.push_back(token);
  });
  return tokens;
}

std::vector<double> ParseClipTimestamps(std::string_view text) {
  std::vector<double> times;
  ForEachPart(text, [&](std::string_view part) {
    double seconds = 0;
    // A year of frames still fits an int.
    if (!ParseNumber(part, &seconds) || !(seconds >= 0 && seconds < 2e7))
      Fail(ErrorCode::kBadInput,
           "clip_timestamps: '{}' in '{}' is no time, want "
           "start,end,start,... in seconds from 0 on",
           OneLine(part), OneLine(text));
    times.push_back(seconds);
  });
  for (size_t i = 1; i < times.size(); i += 2)
    if (times[i] < times[i - 1])
      Fail(ErrorCode::kBadInput,
           "clip_timestamps: clip {} of '{}' ends at {} s before its start at "
           "{} s",
           i / 2 + 1, OneLine(text), times[i], times[i - 1]);
  return times;
}

std::vector<double> TemperatureLadder(double first,
                                      std::optional<double> increment) {
  if (!(first >= 0) || !std::isfinite(first))
    Fail(ErrorCode::kBadInput,
         "temperature: {} is no temperature, want 0 or more", first);
  if (!increment) return {first};
  if (!(*increment > 0) || !std::isfinite(*increment))
    Fail(ErrorCode::kBadInput,
         "temperature_increment_on_fallback: {} does not rise, want more than "
         "0, or None",
         *increment);
  const double steps = std::ceil((1.0 + 1e-6 - first) / *increment);
  if (steps > kMostTemperatures)
    Fail(ErrorCode::kBadInput,
         "temperature_increment_on_fallback: {} makes {} temperatures, want at "
         "most {}",
         *increment, steps, kMostTemperatures);
  const double delta = (first + *increment) - first;
  std::vector<double> temperatures = {first};
  for (int i = 1; i < steps; ++i) temperatures.push_back(first + i * delta);
  return temperatures;
}

}  // namespace sotto
