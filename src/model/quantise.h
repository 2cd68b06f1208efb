// SPDX-License-Identifier: MIT
// f32 to ggml's block types, for writing models.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tensor/dtype.h"

namespace sotto {

// `count` values (whole blocks) to `out`, which holds BytesOf(dtype, count).
// q4_0 to q8_0 give the very bytes of ggml's reference; for q4_K to q6_K ggml
// leaves the search for scales open, and ours is described in the source.
void Quantise(DType dtype, const float* values, size_t count, std::byte* out);

// One row to int8 as CTranslate2 does: value * scale, rounded to even, with
// scale = 127 / largest magnitude (1 for a row of zeros). Returns the scale.
float QuantiseRowInt8(const float* values, size_t count, int8_t* out);

namespace quantise_internal {
// One block each; quantise_k.cc.
void BlockQ4_K(const float* x, std::byte* out);
void BlockQ5_K(const float* x, std::byte* out);
void BlockQ6_K(const float* x, std::byte* out);
}  // namespace quantise_internal

}  // namespace sotto
