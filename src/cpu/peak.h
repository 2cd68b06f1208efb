// SPDX-License-Identifier: MIT
// What this machine gives at most, measured now: the ceilings that kernel
// figures are fractions of. Each call takes some 50 ms.
#pragma once

#include <cstddef>
#include <string_view>

#include "base/cpu.h"
#include "base/thread_pool.h"

namespace sotto::cpu {

// Floating-point operations a second of f32 fused multiply-adds between
// registers, all threads together; 0 where `features` has no vectors.
double MeasureFmaPeak(ThreadPool& pool, const CpuFeatures& features);

// The same for products of bf16 with f32 sums: by tiles where `features` has
// AMX, else by vdpbf16ps; 0 where it has neither.
double MeasureBf16Peak(ThreadPool& pool, const CpuFeatures& features);

// Bytes a second that all threads together read from a buffer of `bytes`,
// each its own part, again and again. As large as the data one asks about:
// what fits L2 or L3 reads faster than memory. 0 where there are no vectors.
double MeasureReadRate(ThreadPool& pool, const CpuFeatures& features,
                       size_t bytes);

// For reports. TFLOP/s of the unit that a precision computes with: "bf16" by
// MeasureBf16Peak where the machine can, everything else by MeasureFmaPeak.
double PeakTflops(const CpuFeatures& features, std::string_view precision,
                  ThreadPool& pool);
// GB/s of MeasureReadRate.
double ReadGBs(size_t bytes, ThreadPool& pool);

}  // namespace sotto::cpu
