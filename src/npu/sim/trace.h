// SPDX-License-Identifier: MIT
// What happened in a simulated run: totals always, intervals on request.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "npu/array_config.h"
#include "npu/sim/parameters.h"

namespace sotto::npu {

// One thing one part of a tile did, in cycles from the start of the array.
struct TraceSpan {
  enum class Kind : uint8_t { kCompute, kTransfer, kWait };
  TileId tile;
  int lane = 0;  // 0 the core, then S2MM 0.., then MM2S 0..
  Kind kind = Kind::kCompute;
  int64_t from = 0;
  int64_t to = 0;
  // Kernel; words and descriptor; what it waited for.
  std::string what;
};

struct CoreTotals {
  int64_t compute = 0;    // cycles in kernels
  int64_t waiting = 0;    // for locks
  int64_t control = 0;    // loops, locks taken
  int64_t conflicts = 0;  // for banks that DMA used
  int64_t calls = 0;
  double macs = 0;
};
struct ChannelTotals {
  TileId tile;
  Direction direction = Direction::kS2MM;
  int channel = 0;
  int64_t words = 0;
  int64_t busy = 0;  // cycles with words moving
  int64_t tasks = 0;
};
struct KernelTotals {
  int64_t calls = 0;
  int64_t cycles = 0;
  double macs = 0;
};

// Totals of one run.
struct SimReport {
  SimParameters parameters;
  int64_t cycles = 0;              // of the array, from the controller's first
                                   // operation to its last; without the launch
  int64_t launch_cycles = 0;       // host side, once a run
  int64_t controller_waiting = 0;  // for tokens and full queues
  int64_t controller_operations = 0;
  int64_t ddr_read_bytes = 0;
  int64_t ddr_write_bytes = 0;
  std::map<TileId, CoreTotals> cores;  // with a program
  std::map<std::string, KernelTotals> kernels;
  std::vector<ChannelTotals> channels;  // that moved words

  int64_t total_cycles() const { return cycles + launch_cycles; }
  double milliseconds() const {
    return parameters.MillisecondsOf(total_cycles());
  }
  // Mean over the cores with a program of compute / cycles.
  double Utilisation() const;
  // (most - least) / most compute cycles among those cores; 0: balanced.
  double Imbalance() const;
};
// The report as a table of text.
std::string ToString(const SimReport& report);

}  // namespace sotto::npu
