// SPDX-License-Identifier: MIT
#include "engine/options.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <utility>

#include "base/did_you_mean.h"
#include "base/error.h"
#include "engine/backends.h"

namespace sotto {
namespace {

std::string Dashed(std::string_view name) {
  std::string text(name);
  std::replace(text.begin(), text.end(), '_', '-');
  return text;
}

[[noreturn]] void FailValue(std::string_view name, std::string_view value,
                            std::string_view want) {
  Fail(ErrorCode::kBadInput, "--{} is '{}', want {}", name, value, want);
}

template <typename T>
T Number(std::string_view name, std::string_view value, std::string_view want) {
  T number{};
  const auto [end, error] =
      std::from_chars(value.data(), value.data() + value.size(), number);
  if (error != std::errc() || end != value.data() + value.size())
    FailValue(name, value, want);
  return number;
}

void Parse(std::string_view, std::string_view value, std::string& field) {
  field = value == "None" ? "" : std::string(value);
}

void Parse(std::string_view name, std::string_view value, int& field) {
  field = Number<int>(name, value, "a whole number");
}

void Parse(std::string_view name, std::string_view value, uint64_t& field) {
  field = Number<uint64_t>(name, value, "a whole number from 0 on");
}

void Parse(std::string_view name, std::string_view value, double& field) {
  field = Number<double>(name, value, "a number");
  if (!std::isfinite(field)) FailValue(name, value, "a finite number");
}

void Parse(std::string_view name, std::string_view value,
           std::optional<double>& field) {
  if (value == "None" || value == "none") {
    field.reset();
    return;
  }
  double number = 0;
  Parse(name, value, number);
  field = number;
}

void Parse(std::string_view name, std::string_view value, bool& field) {
  if (value == "True" || value == "true" || value == "1" || value == "yes") {
    field = true;
  } else if (value == "False" || value == "false" || value == "0" ||
             value == "no") {
    field = false;
  } else {
    FailValue(name, value, "True or False");
  }
}

std::vector<std::string_view> CollectNames() {
  std::vector<std::string_view> names;
  const Options options;
  VisitOptions(options, [&](std::string_view name, const auto&,
                            std::string_view) { names.push_back(name); });
  return names;
}

}  // namespace

std::span<const std::string_view> OptionNames() {
  static const std::vector<std::string_view> names = CollectNames();
  return names;
}

void SetOption(Options& options, std::string_view name,
               std::string_view value) {
  const std::string wanted = Dashed(name);
  bool found = false;
  VisitOptions(options,
               [&](std::string_view option, auto& field, std::string_view) {
                 if (option != wanted) return;
                 found = true;
                 Parse(option, value, field);
               });
  if (found) return;
  const std::string closest = Closest(wanted, OptionNames());
  Fail(ErrorCode::kBadInput, "unknown option --{}{}", wanted,
       closest.empty() ? "" : ", did you mean --" + closest + "?");
}

void CheckOptions(const Options& o) {
  if (o.beam_size != 1)
    Fail(ErrorCode::kBadInput,
         "--beam-size is {}, want 1: beam search is not there yet",
         o.beam_size);
  if (o.best_of != 1)
    Fail(ErrorCode::kBadInput,
         "--best-of is {}, want 1: several samples are not there yet",
         o.best_of);
  if (o.task != "transcribe" && o.task != "translate")
    FailValue("task", o.task, "transcribe or translate");
  if (!IsDevice(o.device)) FailValue("device", o.device, kDevices);
  if (o.threads < 0)
    FailValue("threads", std::to_string(o.threads), "0 or more");
  if (o.offset < 0)
    FailValue("offset", fmt::format("{}", o.offset), "0 or more");
  if (o.duration < 0)
    FailValue("duration", fmt::format("{}", o.duration), "0 or more");
  if (o.temperature < 0)
    FailValue("temperature", fmt::format("{}", o.temperature), "0 or more");
  if (o.temperature_increment_on_fallback &&
      *o.temperature_increment_on_fallback <= 0)
    FailValue("temperature-increment-on-fallback",
              fmt::format("{}", *o.temperature_increment_on_fallback),
              "more than 0, or None");
  if (o.sample_len < 0)
    FailValue("sample-len", std::to_string(o.sample_len), "0 or more");
}

std::string_view LaterOption(std::string_view name) {
  static constexpr std::string_view kWords = "word times are not there yet";
  static constexpr std::string_view kBeam = "beam search is not there yet";
  static constexpr std::string_view kVad =
      "voice activity detection is not there yet";
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 12>
      kLater = {{{"word-timestamps", kWords},
                 {"highlight-words", kWords},
                 {"max-line-width", kWords},
                 {"max-line-count", kWords},
                 {"max-words-per-line", kWords},
                 {"prepend-punctuations", kWords},
                 {"append-punctuations", kWords},
                 {"hallucination-silence-threshold", kWords},
                 {"patience", kBeam},
                 {"length-penalty", kBeam},
                 {"vad", kVad},
                 {"vad-filter", kVad}}};
  const std::string wanted = Dashed(name);
  for (const auto& [option, why] : kLater)
    if (option == wanted) return why;
  return {};
}

}  // namespace sotto
