// SPDX-License-Identifier: MIT
// Every number the timing model has, with its source. All are published
// figures or arithmetic on them; none was fitted to what the model predicts.
// Sources by their short names:
//   target       mlir-aie's AIETargetModel, AM020, aie-rt
//   tnzr         tnzr.org/xdna, issue timings of a hand-written kernel
//   llvm-aie     the scheduling model of Peano
//   xdna-emu     FIM43-Redeye/xdna-emu, hardware-calibrated timing notes
//   ignite       jdominick05/ignite-xdna, measurements on an 8700G
//   paper        arXiv 2512.13282
//   driver PR    amd/xdna-driver pull request 135, measured dispatch
#pragma once

#include <cstdint>

namespace sotto::npu {

// One core's issue. Slots of a bundle: 2 loads, 1 store, 1 scalar, 1 move,
// 1 vector (llvm-aie, tnzr, xdna-emu).
struct CoreParameters {
  double load_ports = 2;          // 256 bit each (AM020, UG1603)
  double store_ports = 1;         // 256 bit (AM020, UG1603)
  double load_latency = 7;        // xdna-emu, tnzr
  double store_latency = 1;       // xdna-emu, tnzr
  double shuffle_latency = 2;     // xdna-emu, tnzr
  double scalar_mul_latency = 2;  // xdna-emu, tnzr
  double branch_cycles = 6;       // 1 and 5 delay slots (xdna-emu, tnzr)
  double int8_latency = 5;        // VMAC result (ignite, llvm-aie)
  double int8_spacing = 2;        // same accumulator (ignite, llvm-aie)
  double bf16_latency = 6;        // VMAC.F result (tnzr, ignite)
  double bf16_spacing = 4;        // same accumulator (tnzr, ignite)
  double lookup_lanes = 16;       // one load each (mlir-aie's LUT kernels)
  // No floating-point scalar unit: the compiler calls a library. An addition
  // or multiplication there unpacks two operands, tests both for the special
  // cases, works, normalises, rounds and packs: about 50 instructions of which
  // 6 are taken branches, and a call and a return, each 6 cycles. Arithmetic
  // on the latencies above, not a measurement.
  double soft_float_cycles = 50 + 6 * 5 + 12;
  // Nor a divider: the library runs 32 division steps, one instruction each,
  // minds the signs, and is called (compiler-rt's aie2_div.h in llvm-aie).
  double divide_cycles = 32 + 6 + 12;
};

struct SimParameters {
  // The driver's table has 1.024, 1.309 and 1.6 GHz; 1.0 is what most
  // published figures ran at (paper; AMD's CI). Reports show 1.0, 1.25, 1.6.
  double clock_ghz = 1.0;
  CoreParameters core;

  // DMA and streams: one 32-bit word per cycle and channel (target; ignite
  // measured 3.99976 bytes per cycle, so descriptors follow each other without
  // a gap where their locks are free).
  double words_per_cycle = 1;
  int hop_cycles = 4;   // 3 to 4 per stream switch (AM020)
  int lock_cycles = 1;  // uncontended acquire or release (xdna-emu)

  // Core memory: 8 single-port banks, seen as 4 of 16 KB made of interleaved
  // pairs (AM020). A DMA beat is 4 words and takes its bank for a cycle; a core
  // that wants the same bank then waits for one (UG1603, ignite).
  int64_t bank_bytes = 16 * 1024;
  int words_per_beat = 4;

  // Shim DMA: first task of a run, and each later one (xdna-emu).
  int shim_start_mm2s = 1330;
  int shim_start_s2mm = 341;
  int shim_task_mm2s = 325;
  int shim_task_s2mm = 179;
  // One shim channel reaches 6.95 of the 7.2 GB/s its 4 bytes per cycle are at
  // 1.8 GHz (ignite).
  double shim_words_per_cycle = 6.95 / 7.2;
  // What all channels of a direction get together: 15 GB/s is what the best
  // published GEMM saw (paper, 1 GHz); 26 to 28 is the cap on an 8700G at
  // 1.8 GHz (ignite).
  double ddr_read_gbps = 15;
  double ddr_write_gbps = 15;

  // The controller: a queued task (block write, address patch, queue write)
  // costs 520 cycles when it follows another, 3050 when it is the first
  // (xdna-emu). An operation is charged a third of a task.
  int command_cold_cycles = 3050;
  int command_task_cycles = 520;
  int operations_per_task = 3;

  // Host side of one run: 0.1 ms. Published: 0.031 to 0.056 ms in lists of 16
  // and 1 (driver PR), 0.108 and 0.15 ms for other hosts.
  double launch_ms = 0.1;

  // In a list the launch has a part for the list and one for each run: what
  // lists of 1 and of 16 took, 55.7 and 31.2 us a run (driver PR), gives both.
  double list_us = (55.7 - 31.2) * 16 / 15;
  double listed_run_us = 55.7 - (55.7 - 31.2) * 16 / 15;
  double ListedLaunchMicroseconds(int runs) const {
    return listed_run_us + list_us / runs;
  }

  int64_t LaunchCycles() const {
    return static_cast<int64_t>(launch_ms * 1e6 * clock_ghz);
  }
  double MillisecondsOf(int64_t cycles) const {
    return static_cast<double>(cycles) / (clock_ghz * 1e6);
  }
};

}  // namespace sotto::npu
