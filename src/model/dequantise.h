// SPDX-License-Identifier: MIT
// Stored numbers to f32. Sources may be unaligned.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tensor/dtype.h"

namespace sotto {

// `count` values of a plain type or of whole blocks, as ggml defines them.
// kI8 gives the bare integers. Single-threaded; callers split ranges.
void Dequantise(DType dtype, const std::byte* source, size_t count, float* out);

}  // namespace sotto
