// SPDX-License-Identifier: MIT
#include "cpu/x86/pack_kv.h"

#include <algorithm>

#include "cpu/x86/target.h"
#include "cpu/x86/x86.h"

namespace sotto::cpu::x86 {
namespace {

constexpr int64_t kHeadDim = kX86HeadDim;

// One row of a head as bf16, 64 values.
struct HeadRow {
  __m512i low, high;
};

template <typename T>
SOTTO_AVX512_INLINE __m512i LoadHalf(const T* p) {
  return _mm512_inserti64x4(_mm512_castsi256_si512(LoadRowBF16(p, 0xffff)),
                            LoadRowBF16(p + kLanes, 0xffff), 1);
}

template <typename T>
SOTTO_AVX512_INLINE HeadRow LoadHead(const T* row) {
  return {LoadHalf(row), LoadHalf(row + 2 * kLanes)};
}

SOTTO_AVX512_INLINE HeadRow LoadHead(const HeadRows& rows, int64_t i) {
  if (i >= rows.count) return {_mm512_setzero_si512(), _mm512_setzero_si512()};
  const int64_t at = rows.at + i * rows.stride;
  if (rows.type == DType::kBF16)
    return LoadHead(static_cast<const BF16*>(rows.data) + at);
  return LoadHead(static_cast<const float*>(rows.data) + at);
}

// Transposes 16 x 16 values of 32 bits and stores them.
SOTTO_AVX512_INLINE void StoreTransposed(const __m512i (&in)[16], BF16* to) {
  __m512i a[16], b[16];
#pragma GCC unroll 8
  for (int i = 0; i < 16; i += 2) {
    a[i] = _mm512_unpacklo_epi32(in[i], in[i + 1]);
    a[i + 1] = _mm512_unpackhi_epi32(in[i], in[i + 1]);
  }
  // b[i]: of each 128 bits, column i % 4 of rows i / 4 * 4 ... + 3.
#pragma GCC unroll 4
  for (int i = 0; i < 16; i += 4) {
    b[i] = _mm512_unpacklo_epi64(a[i], a[i + 2]);
    b[i + 1] = _mm512_unpackhi_epi64(a[i], a[i + 2]);
    b[i + 2] = _mm512_unpacklo_epi64(a[i + 1], a[i + 3]);
    b[i + 3] = _mm512_unpackhi_epi64(a[i + 1], a[i + 3]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    const __m512i even_low = _mm512_shuffle_i32x4(b[i], b[i + 4], 0x88);
    const __m512i odd_low = _mm512_shuffle_i32x4(b[i], b[i + 4], 0xdd);
    const __m512i even_high = _mm512_shuffle_i32x4(b[i + 8], b[i + 12], 0x88);
    const __m512i odd_high = _mm512_shuffle_i32x4(b[i + 8], b[i + 12], 0xdd);
    _mm512_storeu_si512(to + (i + 0) * 32,
                        _mm512_shuffle_i32x4(even_low, even_high, 0x88));
    _mm512_storeu_si512(to + (i + 8) * 32,
                        _mm512_shuffle_i32x4(even_low, even_high, 0xdd));
    _mm512_storeu_si512(to + (i + 4) * 32,
                        _mm512_shuffle_i32x4(odd_low, odd_high, 0x88));
    _mm512_storeu_si512(to + (i + 12) * 32,
                        _mm512_shuffle_i32x4(odd_low, odd_high, 0xdd));
  }
}

}  // namespace

SOTTO_AVX512 void PackKeyPanel(const HeadRows& rows, int64_t first,
                               BF16* panel) {
  __m512i low[16], high[16];
  for (int i = 0; i < 16; ++i) {
    const HeadRow row = LoadHead(rows, first + i);
    low[i] = row.low;
    high[i] = row.high;
  }
  StoreTransposed(low, panel);
  StoreTransposed(high, panel + kHeadDim / 4 * 2 * kPanel);
}

// Values of two rows alternate.
SOTTO_AVX512 void PackValuePairs(const HeadRows& rows, int64_t first,
                                 int64_t pairs, BF16* to) {
  alignas(64) uint16_t order[32];
  for (int i = 0; i < 32; ++i)
    order[i] = static_cast<uint16_t>(i / 2 + (i % 2) * 32);
  const __m512i lower = _mm512_load_si512(order);
  const __m512i upper = _mm512_add_epi16(lower, _mm512_set1_epi16(16));
  for (int64_t i = 0; i < pairs; ++i, to += 2 * kHeadDim) {
    const HeadRow even = LoadHead(rows, first + 2 * i);
    const HeadRow odd = LoadHead(rows, first + 2 * i + 1);
    const __m512i columns[] = {
        _mm512_permutex2var_epi16(even.low, lower, odd.low),
        _mm512_permutex2var_epi16(even.low, upper, odd.low),
        _mm512_permutex2var_epi16(even.high, lower, odd.high),
        _mm512_permutex2var_epi16(even.high, upper, odd.high)};
    for (int j = 0; j < 4; ++j) _mm512_storeu_si512(to + j * 32, columns[j]);
  }
}

}  // namespace sotto::cpu::x86
