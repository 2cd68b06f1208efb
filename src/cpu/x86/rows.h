// SPDX-License-Identifier: MIT
// Bringing rows of x into scratch memory: as bf16, padded with zeros.
#pragma once

#include <cstddef>

#include "cpu/kernel.h"
#include "cpu/x86/target.h"

namespace sotto::cpu::x86 {

template <typename T>
T* As(std::byte* scratch) {
  return static_cast<T*>(static_cast<void*>(scratch));
}

// Whether rows of x cannot be read where they are, two values at a time: they
// are f32, or the last pair would reach past the end of the row.
inline bool MustCopyRows(const LinearArgs& args) {
  return args.x_type != DType::kBF16 || args.k % 2 != 0;
}

// Rounds `count` values to bf16 and appends zeros up to `padded`, a multiple
// of 16.
template <typename T>
SOTTO_AVX512_INLINE void CopyRow(const T* from, int64_t count, int64_t padded,
                                 BF16* to) {
  for (int64_t i = 0; i < padded; i += kLanes)
    _mm256_storeu_si256(static_cast<__m256i*>(static_cast<void*>(to + i)),
                        LoadRowBF16(from + i, FirstLanes(count - i)));
}

// Rows [row0, row0 + rows) of x, padded to whole tiles, `stride` apart.
SOTTO_AVX512_INLINE void CopyRows(const LinearArgs& args, int64_t row0,
                                  int64_t rows, BF16* to, int64_t stride) {
  const int64_t padded = PaddedK(DType::kBF16, args.k);
  for (int64_t r = 0; r < rows; ++r) {
    const int64_t at = (row0 + r) * args.x_stride;
    if (args.x_type == DType::kBF16) {
      CopyRow(static_cast<const BF16*>(args.x) + at, args.k, padded,
              to + r * stride);
    } else {
      CopyRow(static_cast<const float*>(args.x) + at, args.k, padded,
              to + r * stride);
    }
  }
}

}  // namespace sotto::cpu::x86
