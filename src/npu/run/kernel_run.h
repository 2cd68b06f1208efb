// SPDX-License-Identifier: MIT
// One runner for any kernel and any device: seeded data, warm-up, timed runs,
// and always the comparison with the kernel called directly.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "npu/design/designs.h"
#include "npu/host/device.h"
#include "npu/host/system.h"
#include "npu/run/power.h"
#include "npu/sim/trace.h"

namespace sotto::npu {

struct Statistics {
  double mean = 0, std = 0, min = 0, max = 0, p95 = 0;
};
// Of at least one value. std: of the population; p95: the smallest value that
// 95 % of the values do not exceed.
Statistics StatisticsOf(std::span<const double> values);

struct KernelRunOptions {
  KernelDesign design;  // sizes, ints, calls of one dispatch
  int warm_up = 3;
  int iterations = 10;
  uint64_t seed = 42;
  std::chrono::milliseconds timeout{10000};
  const System* system = nullptr;  // whose power is read; null: this machine
};

struct KernelRunResult {
  std::string kernel;
  std::string device;     // what ran
  bool modelled = false;  // the times are the simulator's
  double clock_ghz = 0;   // modelled only
  Statistics ms;          // of a run, launch included
  int iterations = 0;
  int64_t compared_bytes = 0;
  int64_t wrong_bytes = 0;  // summed over all runs, warm-up too
  std::string first_wrong;  // "out byte 17 is 0x03, want 0x04"; empty: none
  std::optional<SimReport> report;  // of the last run, where simulated
  // Of the whole package while all runs went on; a real device's only, and only
  // where the hardware says it.
  std::optional<Power> power;
};

// Throws Error(kDevice) where a run does not complete, naming the state, and
// kBadInput where kernel and sizes do not fit the array. The device takes the
// design's configuration: a real one needs `xclbin_path`, the package that
// BuildPackage made of MakeKernelDesign.
KernelRunResult RunKernel(Device& device, const KernelInfo& kernel,
                          const KernelRunOptions& options,
                          const std::string& xclbin_path = {});

}  // namespace sotto::npu
