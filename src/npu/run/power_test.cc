// SPDX-License-Identifier: MIT
// E9: power comes from a counter of the hardware, or the field is not there.
#include "npu/run/power.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "npu/run/kernel_run.h"
#include "npu/sim/device.h"

namespace sotto::npu {
namespace {

// Files, of which the energy counter moves by a joule each time it is read.
class Meters : public System {
 public:
  std::map<std::string, std::string> files;
  mutable double energy_uj = 0;
  double step_uj = 1e6;
  double range_uj = 1e12;

  std::optional<std::string> Read(const std::string& path) const override {
    const auto at = files.find(path);
    if (at == files.end()) return {};
    if (!path.ends_with("/energy_uj") || !at->second.empty()) return at->second;
    energy_uj += step_uj;
    if (energy_uj >= range_uj) energy_uj -= range_uj;
    return std::to_string(static_cast<int64_t>(energy_uj)) + "\n";
  }
  std::vector<std::string> List(const std::string& path) const override {
    std::set<std::string> names;
    for (const auto& [name, text] : files)
      if (name.starts_with(path + "/"))
        names.insert(
            name.substr(path.size() + 1,
                        name.find('/', path.size() + 1) - path.size() - 1));
    return {names.begin(), names.end()};
  }
  int OpenError(const std::string&) const override { return 0; }
  std::string KernelRelease() const override { return "6.14"; }
  std::vector<std::string> Groups() const override { return {}; }
  uint64_t MemlockBytes() const override { return kUnlimited; }
};

constexpr char kZone[] = "/sys/class/powercap/intel-rapl:0";

Meters WithRapl() {
  Meters meters;
  meters.files[std::string(kZone) + ":0/name"] = "core\n";
  meters.files[std::string(kZone) + ":0/energy_uj"] = "5\n";
  meters.files[std::string(kZone) + "/name"] = "package-0\n";
  meters.files[std::string(kZone) + "/energy_uj"] = "";
  meters.files[std::string(kZone) + "/max_energy_range_uj"] =
      std::to_string(static_cast<int64_t>(meters.range_uj));
  return meters;
}

std::optional<Power> Read(const Meters& meters, double seconds) {
  PowerMeter meter(meters);
  meter.Start();
  return meter.Stop(seconds);
}

TEST(NpuPower, E9JoulesOverSecondsOfThePackage) {
  Meters meters = WithRapl();
  for (const double joules : {1.0, 2.5, 40.0}) {
    for (const double seconds : {0.1, 2.0}) {
      meters.step_uj = joules * 1e6;
      const auto power = Read(meters, seconds);
      ASSERT_TRUE(power.has_value());
      EXPECT_NEAR(power->watts, joules / seconds, 1e-6 * joules / seconds);
      EXPECT_EQ(power->source, "RAPL package-0");
    }
  }
  // Over the counter's end.
  meters.range_uj = 1e9;
  meters.files[std::string(kZone) + "/max_energy_range_uj"] = "1000000000\n";
  meters.energy_uj = 1e9 - 9e6;  // read when made, at the start, at the end
  meters.step_uj = 4e6;
  EXPECT_NEAR(Read(meters, 1)->watts, 4, 1e-3);
}

TEST(NpuPower, E9NoCounterNoField) {
  EXPECT_FALSE(Read({}, 1).has_value());
  Meters locked = WithRapl();  // readable by root alone, as it mostly is
  locked.files.erase(std::string(kZone) + "/energy_uj");
  EXPECT_FALSE(Read(locked, 1).has_value());
  Meters still = WithRapl();
  still.step_uj = 0;
  EXPECT_FALSE(Read(still, 1).has_value());
  Meters broken = WithRapl();
  broken.files[std::string(kZone) + "/energy_uj"] = "none\n";
  EXPECT_FALSE(Read(broken, 1).has_value());
  // The SMU's figure instead, of the GPU's monitor only.
  locked.files["/sys/class/hwmon/hwmon0/name"] = "k10temp\n";
  locked.files["/sys/class/hwmon/hwmon0/power1_average"] = "99000000\n";
  EXPECT_FALSE(Read(locked, 1).has_value());
  locked.files["/sys/class/hwmon/hwmon3/name"] = "amdgpu\n";
  locked.files["/sys/class/hwmon/hwmon3/power1_average"] = "7200000\n";
  const auto power = Read(locked, 1);
  ASSERT_TRUE(power.has_value());
  EXPECT_NEAR(power->watts, 7.2, 1e-9);
  EXPECT_EQ(power->source, "SMU");
}

// A simulated run took no power, whatever this machine's counters say.
TEST(NpuPower, E9SimulatedRunsHaveNone) {
  SimDevice device;
  const Meters meters = WithRapl();
  KernelRunOptions options;
  options.iterations = 2;
  options.system = &meters;
  EXPECT_FALSE(RunKernel(device, *FindKernel("passthrough_u8"), options)
                   .power.has_value());
}

}  // namespace
}  // namespace sotto::npu
