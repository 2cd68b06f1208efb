// SPDX-License-Identifier: MIT
#include "npu/run/power.h"

#include <charconv>

namespace sotto::npu {
namespace {

constexpr const char* kPowercap = "/sys/class/powercap";
constexpr const char* kHwmon = "/sys/class/hwmon";

std::string Line(const std::optional<std::string>& text) {
  return text ? text->substr(0, text->find('\n')) : "";
}

}  // namespace

PowerMeter::PowerMeter(const System& system) : system_(system) {
  // Zen has the zones of Intel's name; the package is the outermost.
  for (const std::string& zone : system.List(kPowercap)) {
    const std::string folder = std::string(kPowercap) + "/" + zone;
    const std::string name = Line(system.Read(folder + "/name"));
    if (!name.starts_with("package") || !Number(folder + "/energy_uj"))
      continue;
    energy_ = folder;
    name_ = name;
    return;
  }
  for (const std::string& monitor : system.List(kHwmon)) {
    const std::string folder = std::string(kHwmon) + "/" + monitor;
    if (Line(system.Read(folder + "/name")) != "amdgpu") continue;
    for (const char* file : {"/power1_average", "/power1_input"}) {
      if (!Number(folder + file)) continue;
      smu_ = folder + file;
      return;
    }
  }
}

std::optional<double> PowerMeter::Number(const std::string& path) const {
  const std::string text = Line(system_.Read(path));
  double value = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return {};
  return value;
}

void PowerMeter::Start() {
  before_ = energy_.empty() ? std::nullopt : Number(energy_ + "/energy_uj");
}

std::optional<Power> PowerMeter::Stop(double seconds) const {
  if (!smu_.empty()) {
    const auto microwatts = Number(smu_);
    if (!microwatts || *microwatts <= 0) return {};
    return Power{*microwatts * 1e-6, "SMU"};
  }
  if (!before_ || seconds <= 0) return {};
  const auto after = Number(energy_ + "/energy_uj");
  if (!after) return {};
  double used = *after - *before_;
  // The counter starts again at 0.
  if (used < 0) used += Number(energy_ + "/max_energy_range_uj").value_or(0);
  if (used <= 0) return {};
  return Power{used * 1e-6 / seconds, "RAPL " + name_};
}

}  // namespace sotto::npu
