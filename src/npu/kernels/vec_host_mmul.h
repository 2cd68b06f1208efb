// SPDX-License-Identifier: MIT
// mmul on the host: C (M x N) += A (M x K) * B (K x N), the blocks row-major in
// one vector each. Shapes of AIE2: int8 4x8x8, int16 x int8 4x4x8, int16 4x4x4,
// bf16 4x8x4 (aie_api).
#pragma once

#include "npu/kernels/vec_host.h"

namespace sotto::npu::vec {

// Column k of A, each value over the N lanes of its row.
template <unsigned K, unsigned N, unsigned Column>
struct SpreadColumn {
  static constexpr size_t Index(size_t i) { return (i / N) * K + Column; }
};
// Row k of B, once for each row of C.
template <unsigned N, unsigned Row>
struct RepeatRow {
  static constexpr size_t Index(size_t i) { return Row * N + i % N; }
};

template <typename Rule, typename V, size_t... I>
SOTTO_INLINE auto Spread(V v, std::index_sequence<I...>) {
  return __builtin_shufflevector(v, v, static_cast<int>(Rule::Index(I))...);
}

// The sum of one instruction's products as AM020 describes it: all aligned to
// the largest exponent, cut to a 24-bit grid toward zero, then added.
inline float AlignedSum(const float* products, unsigned n) {
  int largest = -1000;
  for (unsigned i = 0; i < n; ++i) {
    const uint32_t bits = std::bit_cast<uint32_t>(products[i]);
    const int exponent = static_cast<int>((bits >> 23) & 0xFF) - 127;
    if ((bits & 0x7FFFFFFFu) != 0 && exponent > largest) largest = exponent;
  }
  if (largest == -1000) return 0.0F;
  // grid = 2^(largest - 23): 24 bits below and with the largest's leading one.
  int64_t sum = 0;
  for (unsigned i = 0; i < n; ++i) {
    const uint32_t bits = std::bit_cast<uint32_t>(products[i]);
    const int exponent = static_cast<int>((bits >> 23) & 0xFF) - 127;
    const int shift = largest - exponent;
    if ((bits & 0x7F800000u) == 0 || shift > 23) continue;
    const int64_t mantissa = ((bits & 0x7FFFFFu) | 0x800000u) >> shift;
    sum += bits >> 31 ? -mantissa : mantissa;
  }
  const int scale = largest - 23 + 127;
  if (scale <= 0) return 0.0F;
  return static_cast<float>(sum) *
         std::bit_cast<float>(static_cast<uint32_t>(scale) << 23);
}

template <unsigned M, unsigned K, unsigned N, typename TA, typename TB,
          typename Tag =
              std::conditional_t<std::is_same_v<TA, bf16>, accfloat, acc32>>
class mmul {
 public:
  static constexpr unsigned size_A = M * K;
  static constexpr unsigned size_B = K * N;
  static constexpr unsigned size_C = M * N;
  using Lane = typename Tag::Lane;

  mmul() = default;
  SOTTO_INLINE explicit mmul(const accum<Tag, size_C>& acc)
      : native_(acc.native) {}
  template <typename T>
  SOTTO_INLINE explicit mmul(const vector<T, size_C>& v)
      : native_(accum<Tag, size_C>(v).native) {}

  SOTTO_INLINE void mul(const vector<TA, size_A>& a,
                        const vector<TB, size_B>& b) {
    native_ = typename accum<Tag, size_C>::Native{};
    mac(a, b);
  }
  SOTTO_INLINE void mac(const vector<TA, size_A>& a,
                        const vector<TB, size_B>& b) {
    if constexpr (std::is_same_v<Tag, accfloat>) {
      if (__builtin_expect(control.sums == bf16_sums::kAligned, 0)) {
        MacAligned(a, b);
        return;
      }
    }
    MacColumns(a, b, std::make_integer_sequence<unsigned, K>{});
  }
  SOTTO_INLINE accum<Tag, size_C> to_accum() const {
    accum<Tag, size_C> out;
    out.native = native_;
    return out;
  }
  template <typename T>
  SOTTO_INLINE vector<T, size_C> to_vector(int shift = 0) const {
    return to_accum().template to_vector<T>(shift);
  }

 private:
  template <unsigned... Column>
  SOTTO_INLINE void MacColumns(const vector<TA, size_A>& a,
                               const vector<TB, size_B>& b,
                               std::integer_sequence<unsigned, Column...>) {
    (MacColumn<Column>(a, b), ...);
  }
  template <unsigned Column>
  SOTTO_INLINE void MacColumn(const vector<TA, size_A>& a,
                              const vector<TB, size_B>& b) {
    constexpr auto kLanes = std::make_index_sequence<size_C>{};
    vector<TA, size_C> x;
    x.native = Spread<SpreadColumn<K, N, Column>>(a.native, kLanes);
    vector<TB, size_C> y;
    y.native = Spread<RepeatRow<N, Column>>(b.native, kLanes);
    if constexpr (sizeof(TA) == 1 && sizeof(TB) == 1) {
      // A product of two bytes fits 16 bits, also (-128) * (-128).
      using Short = NativeVector<int16_t, size_C>;
      using Wide = NativeVector<Lane, size_C>;
      const auto product =
          __builtin_convertvector(__builtin_convertvector(x.native, Short) *
                                      __builtin_convertvector(y.native, Short),
                                  Wide);
      native_ =
          __builtin_convertvector(Wrapped(native_) + Wrapped(product), Wide);
    } else {
      native_ = WrappedMac(native_, Widen<Tag>(x), Widen<Tag>(y));
    }
  }
  void MacAligned(const vector<TA, size_A>& a, const vector<TB, size_B>& b) {
    for (unsigned i = 0; i < size_C; ++i) {
      float products[K];
      for (unsigned k = 0; k < K; ++k) {
        products[k] =
            ToFloat(a.get(i / N * K + k)) * ToFloat(b.get(k * N + i % N));
      }
      native_[i] = native_[i] + AlignedSum(products, K);
    }
  }

  typename accum<Tag, size_C>::Native native_;
};

}  // namespace sotto::npu::vec
