// SPDX-License-Identifier: MIT
// The Highway kernels. Each function here gives the kernel compiled for the
// best instruction set among `features`, which must have AVX2 or NEON: the
// pointer is resolved once, when a step is made.
#pragma once

#include "base/cpu.h"
#include "cpu/kernel.h"

namespace sotto::cpu {

// Many rows: a register block of rows over panels. Order kChain.
KernelOf<LinearArgs> SimdLinearTile(const CpuFeatures& features);
// Few rows: panels stream past. Order kChain, the same bits as the tile.
KernelOf<LinearArgs> SimdLinearRow(const CpuFeatures& features);
inline constexpr int64_t kSimdRowMax = 4;

KernelOf<AttentionArgs> SimdAttention(const CpuFeatures& features);
KernelOf<CachedAttentionArgs> SimdCachedAttention(const CpuFeatures& features);

KernelOf<LayerNormArgs> SimdLayerNorm(const CpuFeatures& features);
KernelOf<MapArgs> SimdGelu(const CpuFeatures& features);
KernelOf<MapArgs> SimdCast(const CpuFeatures& features);
KernelOf<AddArgs> SimdAdd(const CpuFeatures& features);
KernelOf<TransposeArgs> SimdTranspose(const CpuFeatures& features);
KernelOf<EmbedArgs> SimdEmbed(const CpuFeatures& features);
KernelOf<SelectRowsArgs> SimdSelectRows(const CpuFeatures& features);
KernelOf<KvWriteArgs> SimdKvWrite(const CpuFeatures& features);

size_t SimdLinearTileScratch(const LinearArgs& args, int threads);
size_t SimdLinearRowScratch(const LinearArgs& args, int threads);
size_t SimdAttentionScratch(const AttentionArgs& args, int threads);
size_t SimdCachedAttentionScratch(const CachedAttentionArgs& args, int threads);

// Whether attention's register blocks fit heads of this size.
inline constexpr int64_t kSimdMaxHeadDim = 256;

}  // namespace sotto::cpu
