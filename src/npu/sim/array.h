// SPDX-License-Identifier: MIT
// The simulated array: runs instruction streams on an ArrayConfig, bit for bit
// and with cycles. Functions and timing are one event-driven engine: words move
// in bursts, and every wait is a lock, a stream, a queue or a token.
//
// One thread at a time. State (memory, locks, programs) lives on from run to
// run, as on a real context.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "npu/array_config.h"
#include "npu/host/device.h"
#include "npu/kernels/kernel.h"
#include "npu/sim/parameters.h"
#include "npu/sim/trace.h"
#include "npu/txn.h"

namespace sotto::npu {

struct SimOptions {
  SimParameters parameters;
  // A kernel whose frame does not fit the stack stops the run; or, as on the
  // hardware, its locals overwrite what lies behind the stack.
  bool corrupting_stack = false;
  // False: a core tile either computes or moves data, never both, as if no
  // buffer were double. Changes time, never results.
  bool overlap = true;
  // A core waits where DMA uses a bank that its kernel uses.
  bool bank_conflicts = true;
  // Keep intervals for the timeline.
  bool trace = false;
  // Kernels of different cores run on so many threads, the caller's included.
  // Results and cycles are the same: locks keep the cores apart. (In a design
  // whose locks do not, results may vary, as on the hardware.)
  int threads = 1;
  // Fill memory that no buffer owns with a pattern and check it after each run.
  bool canaries = true;
  // Bytes of the core's own functions on the stack below a kernel: _main_init
  // 32, main 64 (published builds; stack.h).
  int64_t caller_stack_bytes = 96;
  // After the last operation the array goes on until all wait; one that never
  // does is left alone after so many cycles.
  int64_t settle_cycles = 10'000'000;
  // Where kernels are looked up; null: FindKernel, the list kernels.def.
  std::function<const KernelInfo*(std::string_view)> find_kernel;
  // Called now and then with the cycles so far and the share of the instruction
  // stream that was run, 0 to 1; returning false stops the run.
  std::function<bool(int64_t cycles, double done)> progress;
};

struct SimRun {
  // kCompleted; kError: a fault; kTimeout: nothing can move, or the limit.
  RunState state = RunState::kNew;
  std::string detail;  // the fault, one line
  SimReport report;
};

class Array {
 public:
  // Loads the configuration. Throws Error(kBadInput) naming tile and part where
  // it cannot be: buffers that overlap or leave the memory, descriptors and
  // routes that do not fit, kernels that do not exist or take other arguments,
  // more than 5 host buffers.
  Array(std::shared_ptr<const ArrayConfig> config, SimOptions options);
  ~Array();
  Array(const Array&) = delete;
  Array& operator=(const Array&) = delete;

  // Runs the stream until its last operation, then lets the array settle.
  // `limit_cycles` 0: none. A fault leaves the array broken: later runs are
  // kError until the configuration is loaded again.
  SimRun Run(const TxnStream& stream,
             std::span<const std::span<std::byte>> host_buffers,
             int64_t limit_cycles = 0);

  const ArrayConfig& config() const;
  std::span<std::byte> Memory(TileId tile);
  int LockValue(TileId tile, int lock) const;
  // Intervals since the configuration was loaded.
  std::span<const TraceSpan> trace() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sotto::npu
