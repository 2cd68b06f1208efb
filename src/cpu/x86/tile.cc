// SPDX-License-Identifier: MIT
#include "cpu/x86/tile.h"

namespace sotto::cpu::x86 {
namespace {

// One row of a product: sums[n] += sum_k a[2k] b[k][2n] + a[2k+1] b[k][2n+1],
// even and odd chains from zero. Compiled by itself, so that nothing of it
// moves across the writes of MXCSR around its calls.
__attribute__((noinline)) SOTTO_AVX512 void DotRow(float* sums,
                                                   const uint8_t* a,
                                                   const uint8_t (*b)[64],
                                                   int pairs) {
  const __m512i high = _mm512_set1_epi32(static_cast<int>(0xffff0000u));
  __m512 even = _mm512_setzero_ps(), odd = _mm512_setzero_ps();
  for (int k = 0; k < pairs; ++k) {
    const __m512i x = _mm512_set1_epi32(LoadPair(a + 4 * k));
    const __m512i w = _mm512_loadu_si512(b[k]);
    even = _mm512_fmadd_ps(_mm512_castsi512_ps(_mm512_slli_epi32(x, 16)),
                           _mm512_castsi512_ps(_mm512_slli_epi32(w, 16)), even);
    odd = _mm512_fmadd_ps(_mm512_castsi512_ps(_mm512_and_si512(x, high)),
                          _mm512_castsi512_ps(_mm512_and_si512(w, high)), odd);
  }
  _mm512_storeu_ps(
      sums, _mm512_add_ps(_mm512_loadu_ps(sums), _mm512_add_ps(even, odd)));
}

}  // namespace

void EmulatedTiles::LoadTile(int tile, const void* from, int64_t stride) {
  ZeroTile(tile);
  for (int r = 0; r < config_.rows[tile]; ++r)
    std::memcpy(tile_[tile][r], static_cast<const char*>(from) + r * stride,
                config_.row_bytes[tile]);
}

void EmulatedTiles::StoreTile(int tile, void* to, int64_t stride) const {
  for (int r = 0; r < config_.rows[tile]; ++r)
    std::memcpy(static_cast<char*>(to) + r * stride, tile_[tile][r],
                config_.row_bytes[tile]);
}

void EmulatedTiles::DotTiles(int c, int a, int b) {
  constexpr unsigned kTileMode = 0x9fc0;  // flush, denormals zero, masked, RNE
  const unsigned mode = _mm_getcsr();
  _mm_setcsr(kTileMode);
  for (int r = 0; r < config_.rows[c]; ++r) {
    alignas(64) float sums[16];
    std::memcpy(sums, tile_[c][r], sizeof sums);
    DotRow(sums, tile_[a][r], tile_[b], config_.row_bytes[a] / 4);
    // Columns that the configuration does not name stay zero.
    std::memcpy(tile_[c][r], sums, config_.row_bytes[c]);
  }
  _mm_setcsr(mode);
}

}  // namespace sotto::cpu::x86
