// SPDX-License-Identifier: MIT
// Rows of one head into the layouts of keys and values (kernel.h), in bf16.
#pragma once

#include "cpu/kernel.h"
#include "tensor/half.h"

namespace sotto::cpu::x86 {

// Rows of one head, f32 or bf16: row i begins at element `at` + i `stride`.
// Rows from `count` on are zeros.
struct HeadRows {
  const void* data = nullptr;
  DType type = DType::kBF16;
  int64_t at = 0, stride = 0, count = 0;
};

// Rows [first, first + 16) as a panel of keys.
void PackKeyPanel(const HeadRows& rows, int64_t first, BF16* panel);
// Rows [first, first + 2 pairs) as pairs of values.
void PackValuePairs(const HeadRows& rows, int64_t first, int64_t pairs,
                    BF16* to);

}  // namespace sotto::cpu::x86
