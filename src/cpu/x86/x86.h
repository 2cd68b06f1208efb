// SPDX-License-Identifier: MIT
// Kernels in bf16 for x86-64: what Highway does not give. Shapes of
// cpu/kernel.h; f32 sums, f32 or bf16 inputs (f32 ones are rounded to bf16
// first) and results.
//
//   amx_bf16         LinearAmxBf16         Order::kTile   AMX, AVX512-BF16
//   amx_row_bf16     LinearAmxRowBf16      Order::kTile   AVX512-BF16
//   avx512_bf16      LinearAvx512Bf16      Order::kPairs  AVX512-BF16
//   avx512_row_bf16  LinearAvx512RowBf16   Order::kPairs  AVX512-BF16
// and the same for attention. Kernels of one order agree in every bit, for any
// number of rows and threads.
#pragma once

#include "cpu/kernel.h"

namespace sotto::cpu {

// Up to so many rows the kernel for few is the faster. For Order::kTile it
// needs a shift, a mask and two FMA where a tile needs a row of one product.
inline constexpr int64_t kAvx512RowMax = 16;
inline constexpr int64_t kAmxRowMax = 3;
// The only head_dim of the attentions here, and of every Whisper.
inline constexpr int64_t kX86HeadDim = 64;

// Few rows: the weights are read once for each 16 of them.
void LinearAvx512RowBf16(const LinearArgs& args, const Context& context);
size_t LinearAvx512RowBf16Scratch(const LinearArgs& args, int threads);
void LinearAmxRowBf16(const LinearArgs& args, const Context& context);
size_t LinearAmxRowBf16Scratch(const LinearArgs& args, int threads);
void LinearAmxBf16(const LinearArgs& args, const Context& context);
size_t LinearAmxBf16Scratch(const LinearArgs& args, int threads);
void LinearAvx512Bf16(const LinearArgs& args, const Context& context);
size_t LinearAvx512Bf16Scratch(const LinearArgs& args, int threads);

// head_dim is 64, scale positive.
void AttentionAmxBf16(const AttentionArgs& args, const Context& context);
size_t AttentionAmxBf16Scratch(const AttentionArgs& args, int threads);
void AttentionAvx512Bf16(const AttentionArgs& args, const Context& context);
size_t AttentionAvx512Bf16Scratch(const AttentionArgs& args, int threads);
void CachedAttentionAmxBf16(const CachedAttentionArgs& args,
                            const Context& context);
size_t CachedAttentionAmxBf16Scratch(const CachedAttentionArgs& args,
                                     int threads);
void CachedAttentionAvx512Bf16(const CachedAttentionArgs& args,
                               const Context& context);
size_t CachedAttentionAvx512Bf16Scratch(const CachedAttentionArgs& args,
                                        int threads);

// Writes rows into bf16 states, 16 keys and pairs of values at a time where
// they are whole: the keys and values of a window are 18 million values.
void KvWriteBf16(const KvWriteArgs& args, const Context& context);

// For cpu/peak.h: products of bf16 between registers; return the operations
// done, a multiply and an add counting as two. `out` gets a sum, so that there
// is one.
double MultiplyTiles(int64_t rounds, float* out);  // AMX
double MultiplyPairs(int64_t rounds, float* out);  // AVX512-BF16

}  // namespace sotto::cpu
