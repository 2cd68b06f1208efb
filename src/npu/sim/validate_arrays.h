// SPDX-License-Identifier: MIT
// The array runs of the validation.
#pragma once

#include <cstdint>
#include <vector>

#include "npu/design/design.h"
#include "npu/sim/parameters.h"
#include "npu/sim/published.h"

namespace sotto::npu {

// One run of a planned design on zeros, launch included.
double ModelledMilliseconds(const Design& design, const SimParameters& p);

// What one more call costs, in microseconds, where a dispatch makes many: a
// kernel of these loops on one core, its elements through double buffers.
double InvocationMicroseconds(const std::vector<LoopCost>& loops,
                              const std::vector<int64_t>& in_bytes,
                              int64_t out_bytes, const SimParameters& p);

// Bytes per cycle of a long stream from a mem tile to a core.
double StreamRate(const SimParameters& p);

// An 8700G: 1.8 GHz, 26 GB/s in each direction (ignite).
SimParameters AtDesktopClock(SimParameters p);

// Host memory to host memory through the mem tiles, one channel a column.
double MemcpyMicroseconds(const SimParameters& p, int64_t bytes);

// A GEMM on 16 cores as the paper describes it: output-stationary, A along the
// rows, B along the columns, both double-buffered, C single.
struct GemmRun {
  double ms = 0;
  double tops = 0;
  double core_macs = 0;  // MACs per cycle of the kernel alone
};
GemmRun RunGemm(const PublishedGemm& gemm, const SimParameters& p);

// The published encoder from its schedule.
struct EncoderTime {
  double array_ms = 0;   // launches included
  double switch_ms = 0;  // to another overlay
  double host_ms = 0;
  double ms() const { return array_ms + switch_ms + host_ms; }
};
EncoderTime PredictEncoder(const PublishedEncoder& encoder,
                           const SimParameters& p);

}  // namespace sotto::npu
