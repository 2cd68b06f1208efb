// SPDX-License-Identifier: MIT
// Power as the hardware counts it, or nothing: a report has no such field where
// there is no reading.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "npu/host/system.h"

namespace sotto::npu {

struct Power {
  double watts = 0;
  std::string source;  // "RAPL package-0", "SMU"
};

// The processor's energy counter (Linux powercap) from Start to Stop; where it
// cannot be read, the SMU's mean power (hwmon of amdgpu), which on these
// processors is that of the whole package. One thread.
class PowerMeter {
 public:
  explicit PowerMeter(const System& system);
  void Start();
  // Mean of the `seconds` since Start. Nothing where no counter is there, was
  // readable both times, or moved.
  std::optional<Power> Stop(double seconds) const;

 private:
  std::optional<double> Number(const std::string& path) const;

  const System& system_;
  std::string energy_;  // folder; empty: none
  std::string name_;
  std::string smu_;  // file; empty: none
  std::optional<double> before_;
};

}  // namespace sotto::npu
