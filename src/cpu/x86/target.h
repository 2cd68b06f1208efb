// SPDX-License-Identifier: MIT
// Function targets and the few vector idioms that all files here share.
//
// The folder is compiled without machine flags: each function names the
// instructions that it uses, so that no inline function of a shared header is
// ever compiled for a machine that may not be there. Lambdas do not inherit a
// target; loops over threads therefore call named functions.
#pragma once

// GCC 12 warns of the deliberately undefined operands inside its own
// intrinsics (GCC bug 105593).
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif
#include <immintrin.h>
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif

#include <cstdint>
#include <cstring>

#include "tensor/half.h"

#define SOTTO_AVX512                                             \
  __attribute__((                                                \
      target("avx2,fma,f16c,avx512f,avx512bw,avx512cd,avx512dq," \
             "avx512vl,avx512bf16")))
#define SOTTO_AVX512_INLINE SOTTO_AVX512 __attribute__((always_inline)) inline

namespace sotto::cpu::x86 {

inline constexpr int64_t kLanes = 16;  // f32 in a register

// Two neighbouring bf16 of a row, the unit of vdpbf16ps.
SOTTO_AVX512_INLINE int32_t LoadPair(const void* p) {
  int32_t pair;
  std::memcpy(&pair, p, sizeof pair);
  return pair;
}

SOTTO_AVX512_INLINE __m512bh AsPairs(__m512i v) {
  return __builtin_bit_cast(__m512bh, v);
}

// bf16 -> f32 is exact: the bits are the upper half.
SOTTO_AVX512_INLINE __m512 WidenBF16(__m256i v) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(v), 16));
}

// f32 -> bf16, to nearest even; denormals become zero, as in every product of
// bf16 instructions.
SOTTO_AVX512_INLINE __m256i NarrowBF16(__m512 v) {
  return __builtin_bit_cast(__m256i, _mm512_cvtneps_pbh(v));
}

// Lanes [0, count) of 16; count may be anything.
SOTTO_AVX512_INLINE __mmask16 FirstLanes(int64_t count) {
  if (count >= kLanes) return 0xffff;
  if (count <= 0) return 0;
  return static_cast<__mmask16>((1u << count) - 1u);
}

// 16 values of a row as f32, `lanes` of them in memory.
SOTTO_AVX512_INLINE __m512 LoadRow(const float* p, __mmask16 lanes) {
  return _mm512_maskz_loadu_ps(lanes, p);
}
SOTTO_AVX512_INLINE __m512 LoadRow(const BF16* p, __mmask16 lanes) {
  return WidenBF16(_mm256_maskz_loadu_epi16(lanes, p));
}
SOTTO_AVX512_INLINE void StoreRow(float* p, __mmask16 lanes, __m512 v) {
  _mm512_mask_storeu_ps(p, lanes, v);
}
SOTTO_AVX512_INLINE void StoreRow(BF16* p, __mmask16 lanes, __m512 v) {
  _mm256_mask_storeu_epi16(p, lanes, NarrowBF16(v));
}

// 16 values of a row as bf16. From f32 they are rounded.
SOTTO_AVX512_INLINE __m256i LoadRowBF16(const float* p, __mmask16 lanes) {
  return NarrowBF16(_mm512_maskz_loadu_ps(lanes, p));
}
SOTTO_AVX512_INLINE __m256i LoadRowBF16(const BF16* p, __mmask16 lanes) {
  return _mm256_maskz_loadu_epi16(lanes, p);
}

}  // namespace sotto::cpu::x86
