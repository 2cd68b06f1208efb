// SPDX-License-Identifier: MIT
// Products between registers, as many as a thread can do.
#include "cpu/x86/dot_tiles.h"
#include "cpu/x86/x86.h"

namespace sotto::cpu {

SOTTO_AMX double MultiplyTiles(int64_t rounds, float* out) {
  constexpr int64_t kProducts = 4;
  alignas(64) float sums[16 * 16] = {};
  x86::HardwareTiles tiles(x86::DotConfig(x86::kTileRows));
  tiles.Load<4>(sums, 64);
  tiles.Load<5>(sums, 64);
  tiles.Load<6>(sums, 64);
  tiles.Load<7>(sums, 64);
  x86::ZeroSums<2, 2>(tiles);
  for (int64_t r = 0; r < rounds; ++r) {
    tiles.Dot<0, 4, 6>();
    tiles.Dot<1, 4, 7>();
    tiles.Dot<2, 5, 6>();
    tiles.Dot<3, 5, 7>();
  }
  tiles.Store<0>(sums, 64);
  *out = sums[0];
  return static_cast<double>(rounds * kProducts * 16 * 16 * kTileDepth) * 2;
}

// 24 chains: two units of latency 6, and some to spare.
SOTTO_AVX512 double MultiplyPairs(int64_t rounds, float* out) {
  constexpr int kChains = 24;
  const __m512bh x = x86::AsPairs(_mm512_set1_epi32(0x3c003c00));
  __m512 sums[kChains];
#pragma GCC unroll 24
  for (int i = 0; i < kChains; ++i)
    sums[i] = _mm512_set1_ps(static_cast<float>(i));  // equal ones are merged
  for (int64_t r = 0; r < rounds; ++r) {
#pragma GCC unroll 24
    for (int i = 0; i < kChains; ++i) sums[i] = _mm512_dpbf16_ps(sums[i], x, x);
  }
  __m512 total = sums[0];
#pragma GCC unroll 24
  for (int i = 1; i < kChains; ++i) total = _mm512_add_ps(total, sums[i]);
  *out = _mm512_reduce_add_ps(total);
  return static_cast<double>(rounds * kChains * 32) * 2;
}

}  // namespace sotto::cpu
