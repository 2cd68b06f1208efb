// SPDX-License-Identifier: MIT
// Kernels in bf16 for x86-64: what Highway does not give. Shapes of
// cpu/kernel.h; f32 sums, f32 or bf16 inputs (f32 ones are rounded to bf16
// first) and results.
//
//   name         function                 order   needs
//   amx_bf16     LinearAmxBf16            kTile   amx_bf16, avx512_bf16
//   row_amx_bf16 LinearRowsTileBf16       kTile   amx_bf16, avx512_bf16
//   avx512_bf16  LinearAvx512Bf16         kPairs  avx512_bf16
//   row_bf16     LinearRowsAvx512Bf16     kPairs  avx512_bf16
// and the same for attention. Kernels of one order agree in every bit, for any
// number of rows and threads.
#pragma once

#include "cpu/kernel.h"

namespace sotto::cpu {

// Few rows: the weights are read once for each 16 of them.
void LinearRowsAvx512Bf16(const LinearArgs& args, const Context& context);
size_t LinearRowsAvx512Bf16Scratch(const LinearArgs& args, int threads);
void LinearRowsTileBf16(const LinearArgs& args, const Context& context);
size_t LinearRowsTileBf16Scratch(const LinearArgs& args, int threads);
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

}  // namespace sotto::cpu
