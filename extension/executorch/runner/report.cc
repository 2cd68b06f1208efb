// SPDX-License-Identifier: MIT
#include "report.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/error.h"

namespace sotto {
namespace {

// A share of the prompt's time. The program makes the cross K/V inside a
// step, so only the difference can be known.
std::optional<double> CrossKvMs(const PteCounters& counters) {
  std::vector<float> steps = counters.step_ms;
  if (counters.first_steps == 0 || steps.size() < 3) return {};
  const auto quantile = [&](double q) {
    const auto at =
        steps.begin() + static_cast<ptrdiff_t>(q * double(steps.size() - 1));
    std::nth_element(steps.begin(), at, steps.end());
    return double{*at};
  };
  const double median = quantile(0.5), high = quantile(0.9);
  const double mean =
      counters.first_ms / static_cast<double>(counters.first_steps);
  if (mean <= high) return {};
  return counters.first_ms - median * static_cast<double>(counters.first_steps);
}

double Rounded(double ms) { return std::round(ms * 1000) / 1000; }

}  // namespace

std::string MethodList(const PteProgram& program) {
  std::string text;
  for (const PteMethod& method : program.methods()) {
    if (method.is_constant) continue;
    std::vector<std::string> in, out;
    for (const PteValue& value : method.inputs)
      in.push_back(value.name + " " + value.text());
    for (const PteValue& value : method.outputs) out.push_back(value.text());
    text += fmt::format("{}({}) -> {}", method.name, fmt::join(in, ", "),
                        fmt::join(out, ", "));
    if (!method.backends.empty())
      text += fmt::format("  {}", fmt::join(method.backends, ", "));
    text += '\n';
  }
  for (const auto& [name, constant] : program.constants())
    text += fmt::format("{} = {}\n", name, ConstantText(constant));
  return text;
}

int64_t PeakRssBytes() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    int64_t kib = 0;
    if (word == "VmHWM:" && status >> kib) return kib * 1024;
  }
  return 0;
}

std::string StatsJson(const RunFacts& facts, const PhaseClock& clock,
                      const PteModel& model) {
  const PteCounters& counters = model.counters();
  const std::optional<double> cross_kv = CrossKvMs(counters);
  const double prompt = clock.ms(Phase::kPrompt) - cross_kv.value_or(0);
  const double decode = clock.ms(Phase::kDecode);
  nlohmann::ordered_json json;
  json["model"] = facts.model;
  json["threads"] = facts.threads;
  json["operators"] = facts.operators;
  json["files"] = facts.files;
  json["windows"] = counters.windows;
  json["audio_s"] = facts.audio_s;
  json["load_ms"] = Rounded(clock.ms(Phase::kLoad));
  json["audio_decode_ms"] = Rounded(clock.ms(Phase::kAudio));
  json["mel_ms"] = Rounded(clock.ms(Phase::kMel));
  json["encode_ms"] = Rounded(clock.ms(Phase::kEncode));
  json["cross_kv_ms"] = nullptr;
  if (cross_kv) json["cross_kv_ms"] = Rounded(*cross_kv);
  json["prompt_ms"] = Rounded(prompt);
  json["decode_ms"] = Rounded(decode);
  json["sampling_ms"] = Rounded(clock.ms(Phase::kSampling));
  json["other_ms"] = Rounded(clock.ms(Phase::kOther));
  json["total_ms"] = Rounded(clock.total_ms());
  json["prompt_tokens"] = counters.prompt_tokens;
  json["prompt_tokens_reused"] = counters.reused_tokens;
  json["decoded_tokens"] = counters.decoded_tokens;
  json["tokens"] = counters.prompt_tokens + counters.decoded_tokens;
  json["tokens_per_s"] = nullptr;
  if (decode > 0)
    json["tokens_per_s"] =
        Rounded(static_cast<double>(counters.decoded_tokens) / decode * 1000);
  json["rtf"] = nullptr;
  if (facts.audio_s > 0)
    json["rtf"] = std::round(clock.total_ms() / facts.audio_s * 100) / 1e5;
  json["peak_rss_bytes"] = PeakRssBytes();
  json["derived"] = model.derived();
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace sotto
