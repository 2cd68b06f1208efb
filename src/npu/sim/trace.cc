// SPDX-License-Identifier: MIT
#include "npu/sim/trace.h"

#include <fmt/format.h>

#include <algorithm>

namespace sotto::npu {

double SimReport::Utilisation() const {
  if (cores.empty() || cycles <= 0) return 0;
  double compute = 0;
  for (const auto& [tile, core] : cores) {
    compute += static_cast<double>(core.compute);
  }
  return compute / static_cast<double>(cycles) /
         static_cast<double>(cores.size());
}

double SimReport::Imbalance() const {
  if (cores.empty()) return 0;
  int64_t least = cores.begin()->second.compute;
  int64_t most = least;
  for (const auto& [tile, core] : cores) {
    least = std::min(least, core.compute);
    most = std::max(most, core.compute);
  }
  if (most == 0) return 0;
  return static_cast<double>(most - least) / static_cast<double>(most);
}

std::string ToString(const SimReport& report) {
  const SimParameters& p = report.parameters;
  std::string text = fmt::format(
      "modelled at {:.2f} GHz: {} cycles of the array, {} of launch, {:.3f} "
      "ms\n",
      p.clock_ghz, report.cycles, report.launch_cycles, report.milliseconds());
  text += fmt::format(
      "controller: {} operations, waits {} cycles; DDR reads {} bytes, writes "
      "{}\n",
      report.controller_operations, report.controller_waiting,
      report.ddr_read_bytes, report.ddr_write_bytes);
  text += fmt::format("cores {}, utilisation {:.1f} %, imbalance {:.1f} %\n",
                      report.cores.size(), 100 * report.Utilisation(),
                      100 * report.Imbalance());
  for (const auto& [tile, core] : report.cores) {
    text += fmt::format(
        "{} compute {:>10} waiting {:>10} control {:>8} banks {:>8} calls "
        "{:>6}\n",
        tile.ToString(), core.compute, core.waiting, core.control,
        core.conflicts, core.calls);
  }
  for (const auto& [name, kernel] : report.kernels) {
    text += fmt::format("{:<32} {:>8} calls {:>12} cycles {:>6.1f} MAC/cycle\n",
                        name, kernel.calls, kernel.cycles,
                        kernel.cycles == 0
                            ? 0.0
                            : kernel.macs / static_cast<double>(kernel.cycles));
  }
  return text;
}

}  // namespace sotto::npu
