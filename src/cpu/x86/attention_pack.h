// SPDX-License-Identifier: MIT
// Keys and values of the encoder, from rows into the layouts of cached states.
#pragma once

#include "cpu/kernel.h"
#include "tensor/half.h"

namespace sotto::cpu::x86 {

// Positions packed by one call.
inline constexpr int64_t kPackPositions = kTileDepth;

// Packs positions [start, start + 32) of one head of one batch row; those
// beyond args.t are zeros. `k` and `v` point to the head's packed arrays.
void PackPositions(const AttentionArgs& args, int64_t batch, int64_t head,
                   int64_t start, BF16* k, BF16* v);

}  // namespace sotto::cpu::x86
