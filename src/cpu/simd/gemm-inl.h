// SPDX-License-Identifier: MIT
// The register block that Linear and attention are made of: kRows rows of A
// times kVecs vectors of columns of B, summed over k in ascending order from
// whatever the sums hold. Each element is its own chain of fused multiply-adds
// (Order::kChain), so the size of the register block changes no bit.

#if defined(SOTTO_CPU_SIMD_GEMM_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SOTTO_CPU_SIMD_GEMM_INL_H_
#undef SOTTO_CPU_SIMD_GEMM_INL_H_
#else
#define SOTTO_CPU_SIMD_GEMM_INL_H_
#endif

#include <algorithm>

#include "cpu/simd/vec-inl.h"

HWY_BEFORE_NAMESPACE();
namespace sotto::cpu::HWY_NAMESPACE {

// Vectors of columns in the widest block, and rows that then fit: AVX-512
// 14 x 32 columns, AVX2 6 x 16, NEON 6 x 16.
inline constexpr int64_t kBlockVecs = kPanelVecs < 2 ? 2 : kPanelVecs;
inline constexpr int64_t kBlockPanels = kBlockVecs / kPanelVecs;
inline constexpr int64_t kBlockRows = (kRegisters - 4) / kBlockVecs / 2 * 2;

// B, element (k, column c of panel p) in elements of T: panels panel_stride
// apart; in a panel, steps of k (pairs of steps for bf16) step apart, columns
// next to each other.
template <typename T>
struct Columns {
  const T* data;
  int64_t panel_stride;
  int64_t step;

  HWY_INLINE const T* At(int64_t vec) const {
    return data + vec / kPanelVecs * panel_stride +
           vec % kPanelVecs * kLanes * kPerStep;
  }
  static constexpr int64_t kPerStep = std::is_same_v<T, BF16> ? 2 : 1;
};

template <int64_t kRows, int64_t kVecs>
struct Sums {
  V v[kRows][kVecs];

  // note: implicit constructors get no target attribute; on ARM64, GCC then
  // refuses to inline the vectors' own into them.
  HWY_INLINE Sums() {}
  HWY_INLINE void Clear() {
    HWY_UNROLL(16)
    for (int64_t m = 0; m < kRows; ++m) HWY_UNROLL(16)
    for (int64_t j = 0; j < kVecs; ++j) v[m][j] = hn::Zero(D());
  }
};

// One step of k: sums += a[:, k] b[k, :].
template <int64_t kRows, int64_t kVecs>
HWY_INLINE void AddStep(const float* a, int64_t a_stride, const V (&b)[kVecs],
                        Sums<kRows, kVecs>& sums) {
  HWY_UNROLL(16)
  for (int64_t m = 0; m < kRows; ++m) {
    const V value = hn::Set(D(), a[m * a_stride]);
    HWY_UNROLL(16)
    for (int64_t j = 0; j < kVecs; ++j)
      sums.v[m][j] = hn::MulAdd(value, b[j], sums.v[m][j]);
  }
}

// sums[m][c] += sum_k a[m * a_stride + k] b(k, c).
template <int64_t kRows, int64_t kVecs, typename T>
HWY_INLINE void AddProducts(const float* a, int64_t a_stride,
                            const Columns<T>& b, int64_t k_size,
                            Sums<kRows, kVecs>& sums) {
  const T* at[kVecs];
  HWY_UNROLL(16)
  for (int64_t j = 0; j < kVecs; ++j) at[j] = b.At(j);
  V now[kVecs];
  if constexpr (std::is_same_v<T, BF16>) {
    int64_t k = 0;
    for (; k + 2 <= k_size; k += 2) {
      if constexpr (kRows == 1) {
        // Column by column: a row alone has registers for many columns, but
        // not for two steps of them besides.
        const V first = hn::Set(D(), a[k]);
        const V second = hn::Set(D(), a[k + 1]);
        HWY_UNROLL(16)
        for (int64_t j = 0; j < kVecs; ++j) {
          const Pair pair = LoadPair(at[j] + k / 2 * b.step);
          sums.v[0][j] = hn::MulAdd(first, pair.even, sums.v[0][j]);
          sums.v[0][j] = hn::MulAdd(second, pair.odd, sums.v[0][j]);
        }
      } else {
        V odd[kVecs];
        HWY_UNROLL(16)
        for (int64_t j = 0; j < kVecs; ++j) {
          const Pair pair = LoadPair(at[j] + k / 2 * b.step);
          now[j] = pair.even;
          odd[j] = pair.odd;
        }
        AddStep<kRows, kVecs>(a + k, a_stride, now, sums);
        AddStep<kRows, kVecs>(a + k + 1, a_stride, odd, sums);
      }
    }
    if (k < k_size) {
      HWY_UNROLL(16)
      for (int64_t j = 0; j < kVecs; ++j)
        now[j] = LoadPair(at[j] + k / 2 * b.step).even;
      AddStep<kRows, kVecs>(a + k, a_stride, now, sums);
    }
  } else {
    for (int64_t k = 0; k < k_size; ++k) {
      HWY_UNROLL(16)
      for (int64_t j = 0; j < kVecs; ++j) now[j] = Load(at[j] + k * b.step);
      AddStep<kRows, kVecs>(a + k, a_stride, now, sums);
    }
  }
}

// sums = a b over all of k, in blocks of kSumBlock: each block is a chain from
// zero, and the blocks are added in order (Order::kChain). Rounding grows with
// the length of a chain, and 2048 in one would cost a digit.
template <int64_t kRows, int64_t kVecs, typename T>
HWY_INLINE void SumProducts(const float* a, int64_t a_stride, Columns<T> b,
                            int64_t k_size, Sums<kRows, kVecs>& sums) {
  sums.Clear();
  AddProducts<kRows, kVecs>(a, a_stride, b, std::min(k_size, kSumBlock), sums);
  // note: the totals live in memory; a block's 256 steps hide their traffic.
  for (int64_t k = kSumBlock; k < k_size; k += kSumBlock) {
    Sums<kRows, kVecs> block;
    block.Clear();
    b.data += kSumBlock / Columns<T>::kPerStep * b.step;
    AddProducts<kRows, kVecs>(a + k, a_stride, b,
                              std::min(k_size - k, kSumBlock), block);
    HWY_UNROLL(16)
    for (int64_t m = 0; m < kRows; ++m) HWY_UNROLL(16)
    for (int64_t j = 0; j < kVecs; ++j)
      sums.v[m][j] = hn::Add(sums.v[m][j], block.v[m][j]);
  }
}

}  // namespace sotto::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // SOTTO_CPU_SIMD_GEMM_INL_H_
