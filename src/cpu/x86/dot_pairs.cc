// SPDX-License-Identifier: MIT
#include "cpu/x86/dot_pairs.h"

#include "cpu/x86/dot_table.h"

namespace sotto::cpu::x86 {
namespace {

// c[R, 16 P] (+)= a[R, 2 pairs] b, all sums in registers. Rows are reached
// from one pointer for each three of them: one for each would not fit.
template <int R, int P>
SOTTO_AVX512 void DotPairs(const DotBlock& d) {
  constexpr int kGroups = (R + 2) / 3;
  const char* rows[kGroups];
  const int64_t stride = d.a_stride * 2;
#pragma GCC unroll 8
  for (int g = 0; g < kGroups; ++g)
    rows[g] = static_cast<const char*>(static_cast<const void*>(d.a)) +
              3 * g * stride;
  // Masked loads take zeros or what stands there, without a branch that would
  // make the compiler keep the sums in memory.
  const auto taken = static_cast<__mmask16>(d.add ? 0xffff : 0);
  __m512 sum[R][P];
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
    for (int p = 0; p < P; ++p)
      sum[r][p] =
          _mm512_maskz_loadu_ps(taken, d.c + r * d.c_stride + p * kLanes);
  const BF16* b = d.b;
  Ahead<P> ahead(d);
  for (int64_t i = 0; i < d.pairs; ++i) {
    ahead.Step();
    __m512bh w[P];
#pragma GCC unroll 8
    for (int p = 0; p < P; ++p)
      w[p] = AsPairs(_mm512_loadu_si512(b + p * d.b_panel));
    b += d.b_step;
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
      const __m512bh x =
          AsPairs(_mm512_set1_epi32(LoadPair(rows[r / 3] + r % 3 * stride)));
#pragma GCC unroll 8
      for (int p = 0; p < P; ++p)
        sum[r][p] = _mm512_dpbf16_ps(sum[r][p], x, w[p]);
    }
#pragma GCC unroll 8
    for (int g = 0; g < kGroups; ++g) rows[g] += 4;
  }
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
    for (int p = 0; p < P; ++p)
      _mm512_storeu_ps(d.c + r * d.c_stride + p * kLanes, sum[r][p]);
}

struct Loops {
  template <int R, int P>
  static constexpr DotFn kAt = &DotPairs<R, P>;
};
constexpr auto& kTable = kDotTable<PairsOrder, Loops>;

}  // namespace

void PairsOrder::Dot(int64_t rows, int64_t panels, const DotBlock& block) {
  kTable[static_cast<size_t>(rows - 1)][static_cast<size_t>(panels - 1)](block);
}

}  // namespace sotto::cpu::x86
