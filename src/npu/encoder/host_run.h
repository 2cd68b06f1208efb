// SPDX-License-Identifier: MIT
// The NPU's encoder on the host: the same kernels on the same tiles in the same
// order of sums as the array runs them, so the same bits. For machines without
// an NPU, for word error rates, and what the simulated array is compared with.
#pragma once

#include <cstddef>

#include "base/thread_pool.h"
#include "npu/encoder/pack.h"

namespace sotto::npu {

// Bytes of memory a run works in.
size_t HostRunBytes(const PackedEncoder& encoder);

// mel [n_mels][frames] to audio [positions][width], both f32 and dense. `work`:
// HostRunBytes, aligned to 64.
void RunOnHost(const PackedEncoder& encoder, const float* mel, float* audio,
               std::byte* work, ThreadPool& pool);

// The stem by itself, positions included: mel as above to x [positions][width]
// in f32, what the residual stream's bf16 hold.
void RunStemOnHost(const PackedEncoder& encoder, const float* mel, float* x,
                   std::byte* work, ThreadPool& pool);

// One layer by itself: x [positions][width], f32 that is rounded to the
// residual stream's bf16 first, to y of the same shape. Both to
// compare stage by stage.
void RunLayerOnHost(const PackedEncoder& encoder, int layer, const float* x,
                    float* y, std::byte* work, ThreadPool& pool);

// The stem's input, [row_tiles][stem_tiles] tiles of bf16 or int16 (codes of 12
// bits in steps of kMelStep): what a host makes of the log-mel for the array.
// Source: OpenAI's model.py, both convolutions.
size_t StemInputBytes(const EncoderShape& shape);
void MakeStemInput(const EncoderShape& shape, EncoderPrecision precision,
                   const float* mel, std::byte* tiles);
// The array's output, bf16 tiles [row_tiles][width_tiles], to f32 rows.
void ReadOutput(const EncoderShape& shape, const uint16_t* tiles, float* audio);

}  // namespace sotto::npu
