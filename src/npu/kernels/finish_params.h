// SPDX-License-Identifier: MIT
// What finish_i8 wants to know of a product's channels, in fixed point.
#pragma once

#include <array>
#include <limits>

#include "npu/kernels/device.h"

namespace sotto::npu {

// value = sum multiplier + bias; code = GELU(value) scale + zero.
struct FinishChannel {
  double multiplier = 1;  // above 0
  double bias = 0;
  double reach = 0;  // no sum is further from 0
  // After GELU to bf16: larger values may saturate.
  double top = std::numeric_limits<double>::infinity();
  // To int8 only; `zero` only after GELU.
  double scale = 1;
  int zero = 0;
};

// Rounds eight channels to what finish_i8 reads, for `mode` (device.h). They
// share the shifts: a channel keeps 15 bits of its factor less those by which
// another's is larger. What a code can tell is kept to a 256th of a code, less
// those bits.
FinishColumn MakeFinishColumn(const std::array<FinishChannel, 8>& channels,
                              int mode);

}  // namespace sotto::npu
