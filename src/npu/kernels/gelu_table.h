// SPDX-License-Identifier: MIT
// The normal distribution's lower tail Phi(-t) as bf16, for every bf16 t from
// 2^-9 up to 14, in the order of t's own bits: entry i belongs to t with bits
// kPhiFirstBits + i. Rounded to nearest; subnormals are kept. The test computes
// each entry from erfc.
#pragma once

#include <cstdint>

namespace sotto::npu {

inline constexpr int32_t kPhiFirstBits = 0x3B00;
inline constexpr int32_t kPhiEntries = 1632;
alignas(32) inline constexpr uint16_t kPhiBits[kPhiEntries] = {
#include "npu/kernels/gelu_table.inc"
};

}  // namespace sotto::npu
