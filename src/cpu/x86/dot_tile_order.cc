// SPDX-License-Identifier: MIT
#include "cpu/x86/dot_tile_order.h"

#include "cpu/x86/dot_table.h"

namespace sotto::cpu::x86 {
namespace {

// Even and odd halves of a pair, as f32 in every lane.
struct PairF32 {
  __m512 even, odd;
};
SOTTO_AVX512_INLINE PairF32 Split(__m512i pairs) {
  const __m512i high = _mm512_set1_epi32(static_cast<int>(0xffff0000u));
  return {_mm512_castsi512_ps(_mm512_slli_epi32(pairs, 16)),
          _mm512_castsi512_ps(_mm512_and_si512(pairs, high))};
}

template <int R, int P>
SOTTO_AVX512 void DotTileOrder(const DotBlock& d) {
  constexpr int64_t kDepth = kTileDepth / 2;  // pairs in a tile
  __m512 sum[R][P];
  for (int r = 0; r < R; ++r)
    for (int p = 0; p < P; ++p)
      sum[r][p] = d.add ? _mm512_loadu_ps(d.c + r * d.c_stride + p * kLanes)
                        : _mm512_setzero_ps();
  const BF16* a = d.a;
  const BF16* b = d.b;
  Ahead<P> ahead(d);
  for (int64_t block = 0; block < d.pairs; block += kDepth) {
    __m512 even[R][P], odd[R][P];
    for (int r = 0; r < R; ++r)
      for (int p = 0; p < P; ++p) even[r][p] = odd[r][p] = _mm512_setzero_ps();
    for (int64_t i = 0; i < kDepth; ++i) {
      ahead.Step();
      PairF32 w[P];
#pragma GCC unroll 8
      for (int p = 0; p < P; ++p)
        w[p] = Split(_mm512_loadu_si512(b + p * d.b_panel));
      b += d.b_step;
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) {
        const PairF32 x =
            Split(_mm512_set1_epi32(LoadPair(a + r * d.a_stride)));
#pragma GCC unroll 8
        for (int p = 0; p < P; ++p) {
          even[r][p] = _mm512_fmadd_ps(x.even, w[p].even, even[r][p]);
          odd[r][p] = _mm512_fmadd_ps(x.odd, w[p].odd, odd[r][p]);
        }
      }
      a += 2;
    }
    for (int r = 0; r < R; ++r)
      for (int p = 0; p < P; ++p)
        sum[r][p] =
            _mm512_add_ps(sum[r][p], _mm512_add_ps(even[r][p], odd[r][p]));
  }
  for (int r = 0; r < R; ++r)
    for (int p = 0; p < P; ++p)
      _mm512_storeu_ps(d.c + r * d.c_stride + p * kLanes, sum[r][p]);
}

struct Loops {
  template <int R, int P>
  static constexpr DotFn kAt = &DotTileOrder<R, P>;
};
constexpr auto& kTable = kDotTable<TileOrder, Loops>;

}  // namespace

// Tiles take denormals for zero and make none, whatever MXCSR says, so MXCSR
// says the same here. The call goes through a table: the compiler cannot move
// arithmetic across it, as it might across the two writes of MXCSR alone.
void TileOrder::Dot(int64_t rows, int64_t panels, const DotBlock& block) {
  constexpr unsigned kTileMode = 0x9fc0;  // flush, denormals zero, masked, RNE
  const unsigned mode = _mm_getcsr();
  _mm_setcsr(kTileMode);
  kTable[static_cast<size_t>(rows - 1)][static_cast<size_t>(panels - 1)](block);
  _mm_setcsr(mode);
}

}  // namespace sotto::cpu::x86
