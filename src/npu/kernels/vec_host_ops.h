// SPDX-License-Identifier: MIT
// The operations of vec.h on the host. Names and argument orders are
// aie_api's.
#pragma once

#include "npu/kernels/vec_host.h"

namespace sotto::npu::vec {

// --- memory -----------------------------------------------------------------

template <unsigned N, typename T>
SOTTO_INLINE vector<T, N> load_v(const T* p) {
  vector<T, N> out;
  __builtin_memcpy(&out.native, p, sizeof(out.native));
  return out;
}
template <typename T, unsigned N>
SOTTO_INLINE void store_v(T* p, const vector<T, N>& v) {
  __builtin_memcpy(p, &v.native, sizeof(v.native));
}
// 16 entries of a table in this tile's memory, by index.
template <typename T>
SOTTO_INLINE vector<T, 16> lookup(const T* table,
                                  const vector<int32_t, 16>& index) {
  vector<T, 16> out;
  for (unsigned i = 0; i < 16; ++i) out.set(table[index.native[i]], i);
  return out;
}

// --- making vectors ---------------------------------------------------------

template <typename T, unsigned N>
SOTTO_INLINE vector<T, N> zeros() {
  vector<T, N> out;
  out.native = typename vector<T, N>::Native{};
  return out;
}
template <typename T, unsigned N>
SOTTO_INLINE vector<T, N> broadcast(T value) {
  using V = vector<T, N>;
  V out;
  out.native = typename V::Native{} + std::bit_cast<typename V::Lane>(value);
  return out;
}
template <typename T, unsigned N>
SOTTO_INLINE vector<T, 2 * N> concat(const vector<T, N>& a,
                                     const vector<T, N>& b) {
  vector<T, 2 * N> out;
  out.template insert<N>(0, a);
  out.template insert<N>(1, b);
  return out;
}

// --- element by element -----------------------------------------------------

#define SOTTO_VEC_BINARY(name, expression)                                    \
  template <typename T, unsigned N>                                           \
  SOTTO_INLINE vector<T, N> name(const vector<T, N>& a,                       \
                                 const vector<T, N>& b) {                     \
    static_assert(!std::is_same_v<T, bf16>, "bf16 has no plain lanes");       \
    vector<T, N> out;                                                         \
    const auto x = a.native;                                                  \
    const auto y = b.native;                                                  \
    out.native =                                                              \
        __builtin_convertvector((expression), typename vector<T, N>::Native); \
    return out;                                                               \
  }
SOTTO_VEC_BINARY(add, Wrapped(x) + Wrapped(y))
SOTTO_VEC_BINARY(sub, Wrapped(x) - Wrapped(y))
SOTTO_VEC_BINARY(max, x > y ? x : y)
SOTTO_VEC_BINARY(min, x < y ? x : y)
SOTTO_VEC_BINARY(bit_and, x& y)
SOTTO_VEC_BINARY(bit_or, x | y)
SOTTO_VEC_BINARY(bit_xor, x ^ y)
#undef SOTTO_VEC_BINARY

// Shifts of integer lanes: left, and right keeping the sign or not.
template <typename T, unsigned N>
SOTTO_INLINE vector<T, N> upshift(const vector<T, N>& v, unsigned shift) {
  vector<T, N> out;
  out.native = v.native << static_cast<int>(shift);
  return out;
}
template <typename T, unsigned N>
SOTTO_INLINE vector<T, N> downshift(const vector<T, N>& v, unsigned shift) {
  vector<T, N> out;
  out.native = v.native >> static_cast<int>(shift);
  return out;
}
template <typename T, unsigned N>
SOTTO_INLINE vector<T, N> logical_downshift(const vector<T, N>& v,
                                            unsigned shift) {
  using U = vector<std::make_unsigned_t<T>, N>;
  U bits = v.template cast_to<std::make_unsigned_t<T>>();
  bits.native = bits.native >> static_cast<int>(shift);
  return bits.template cast_to<T>();
}

template <unsigned N>
class mask {
 public:
  SOTTO_INLINE bool test(unsigned i) const { return native[i] != 0; }
  SOTTO_INLINE bool empty() const {
    int32_t any = 0;
    for (unsigned i = 0; i < N; ++i) any |= native[i];
    return any == 0;
  }
  NativeVector<int32_t, N> native;
};

#define SOTTO_VEC_COMPARE(name, op)                                         \
  template <typename T, unsigned N>                                         \
  SOTTO_INLINE mask<N> name(const vector<T, N>& a, const vector<T, N>& b) { \
    static_assert(!std::is_same_v<T, bf16>, "compare as float");            \
    mask<N> out;                                                            \
    const auto bits = a.native op b.native;                                 \
    out.native = __builtin_convertvector(bits, NativeVector<int32_t, N>);   \
    return out;                                                             \
  }
SOTTO_VEC_COMPARE(lt, <)
SOTTO_VEC_COMPARE(le, <=)
SOTTO_VEC_COMPARE(gt, >)
SOTTO_VEC_COMPARE(ge, >=)
SOTTO_VEC_COMPARE(eq, ==)
#undef SOTTO_VEC_COMPARE

// b where the mask is set, a where not.
template <typename T, unsigned N>
SOTTO_INLINE vector<T, N> select(const vector<T, N>& a, const vector<T, N>& b,
                                 const mask<N>& m) {
  static_assert(sizeof(T) <= 4 && !std::is_same_v<T, bf16>);
  using Lane = std::conditional_t<sizeof(T) == 4, int32_t, int16_t>;
  static_assert(sizeof(Lane) == sizeof(T), "of 16 or 32 bits");
  const auto chosen = __builtin_convertvector(m.native, NativeVector<Lane, N>);
  vector<T, N> out;
  out.native = chosen ? b.native : a.native;
  return out;
}

// --- products ---------------------------------------------------------------

template <typename T>
struct Product {
  using tag = acc32;
};
template <>
struct Product<bf16> {
  using tag = accfloat;
};
template <>
struct Product<int32_t> {
  using tag = acc64;
};

template <typename Tag, typename T, unsigned N>
SOTTO_INLINE NativeVector<typename Tag::Lane, N> Widen(const vector<T, N>& v) {
  if constexpr (std::is_same_v<T, bf16>) {
    return WidenBf16<N>(v.native);
  } else {
    return __builtin_convertvector(v.native,
                                   NativeVector<typename Tag::Lane, N>);
  }
}

template <typename T, unsigned N, typename Tag = typename Product<T>::tag>
SOTTO_INLINE accum<Tag, N> mul(const vector<T, N>& a, const vector<T, N>& b) {
  accum<Tag, N> out;
  out.native = Widen<Tag>(a) * Widen<Tag>(b);
  return out;
}
template <typename Tag, typename T, unsigned N>
SOTTO_INLINE accum<Tag, N> mac(const accum<Tag, N>& acc, const vector<T, N>& a,
                               const vector<T, N>& b) {
  accum<Tag, N> out;
  out.native = WrappedMac(acc.native, Widen<Tag>(a), Widen<Tag>(b));
  return out;
}
template <typename Tag, typename T, unsigned N>
SOTTO_INLINE accum<Tag, N> msc(const accum<Tag, N>& acc, const vector<T, N>& a,
                               const vector<T, N>& b) {
  accum<Tag, N> out;
  out.native = WrappedMsc(acc.native, Widen<Tag>(a), Widen<Tag>(b));
  return out;
}
// int32 by int16 (on the core by their halves, two multiplies): the sum of such
// a product and a 64-bit accumulator.
template <unsigned N>
SOTTO_INLINE accum<acc64, N> mac(const accum<acc64, N>& acc,
                                 const vector<int32_t, N>& a,
                                 const vector<int16_t, N>& b) {
  accum<acc64, N> out;
  out.native = WrappedMac(acc.native, Widen<acc64>(a), Widen<acc64>(b));
  return out;
}
template <typename Tag, unsigned N>
SOTTO_INLINE accum<Tag, N> add(const accum<Tag, N>& a, const accum<Tag, N>& b) {
  accum<Tag, N> out;
  using Native = typename accum<Tag, N>::Native;
  out.native =
      __builtin_convertvector(Wrapped(a.native) + Wrapped(b.native), Native);
  return out;
}

// --- across lanes -----------------------------------------------------------

// Halves are folded onto each other: the order of a float sum is fixed.
template <typename T, unsigned N>
SOTTO_INLINE T reduce_add(const vector<T, N>& v) {
  if constexpr (N == 1) {
    return v.get(0);
  } else {
    return reduce_add(
        add(v.template extract<N / 2>(0), v.template extract<N / 2>(1)));
  }
}
template <typename T, unsigned N>
SOTTO_INLINE T reduce_max(const vector<T, N>& v) {
  T best = v.get(0);
  for (unsigned i = 1; i < N; ++i) best = v.get(i) > best ? v.get(i) : best;
  return best;
}
template <typename T, unsigned N>
SOTTO_INLINE T reduce_min(const vector<T, N>& v) {
  T best = v.get(0);
  for (unsigned i = 1; i < N; ++i) best = v.get(i) < best ? v.get(i) : best;
  return best;
}

// Lanes permuted by a rule known when compiled: out[i] = (a | b)[Rule(i)].
template <typename Rule, typename T, unsigned N, size_t... I>
SOTTO_INLINE vector<T, sizeof...(I)> Permute(const vector<T, N>& a,
                                             const vector<T, N>& b,
                                             std::index_sequence<I...>) {
  vector<T, sizeof...(I)> out;
  out.native = __builtin_shufflevector(a.native, b.native,
                                       static_cast<int>(Rule::Index(I))...);
  return out;
}

template <unsigned Rows, unsigned Cols>
struct TransposeRule {
  static constexpr size_t Index(size_t i) {
    return (i % Rows) * Cols + i / Rows;
  }
};
// A rows x cols matrix to cols x rows. aie_api takes rows and cols as
// arguments that must be constants; here and there they are written so.
template <unsigned Rows, unsigned Cols, typename T>
SOTTO_INLINE vector<T, Rows * Cols> transpose(const vector<T, Rows * Cols>& v) {
  return Permute<TransposeRule<Rows, Cols>>(
      v, v, std::make_index_sequence<Rows * Cols>{});
}

template <unsigned N, unsigned Step>
struct ZipRule {
  // Runs of Step lanes of a and b, alternating; the first N of 2 N lanes.
  static constexpr size_t Index(size_t i) {
    const size_t run = i / Step;
    return (run % 2) * N + (run / 2) * Step + i % Step;
  }
};
template <unsigned N, unsigned Step>
struct ZipHighRule {
  static constexpr size_t Index(size_t i) {
    return ZipRule<N, Step>::Index(i + N);
  }
};
template <unsigned N, unsigned Step>
struct UnzipRule {
  static constexpr size_t Index(size_t i) {
    const size_t run = i / Step;
    return run * 2 * Step + i % Step;
  }
};
template <unsigned N, unsigned Step>
struct UnzipHighRule {
  static constexpr size_t Index(size_t i) {
    return UnzipRule<N, Step>::Index(i) + Step;
  }
};
template <unsigned Step, typename T, unsigned N>
SOTTO_INLINE std::pair<vector<T, N>, vector<T, N>> interleave_zip(
    const vector<T, N>& a, const vector<T, N>& b) {
  constexpr auto kLanes = std::make_index_sequence<N>{};
  return {Permute<ZipRule<N, Step>>(a, b, kLanes),
          Permute<ZipHighRule<N, Step>>(a, b, kLanes)};
}
template <unsigned Step, typename T, unsigned N>
SOTTO_INLINE std::pair<vector<T, N>, vector<T, N>> interleave_unzip(
    const vector<T, N>& a, const vector<T, N>& b) {
  constexpr auto kLanes = std::make_index_sequence<N>{};
  return {Permute<UnzipRule<N, Step>>(a, b, kLanes),
          Permute<UnzipHighRule<N, Step>>(a, b, kLanes)};
}

template <unsigned N, unsigned By>
struct RotateRule {
  static constexpr size_t Index(size_t i) { return (i + By) % N; }
};
template <unsigned By, typename T, unsigned N>
SOTTO_INLINE vector<T, N> shuffle_down_rotate(const vector<T, N>& v) {
  return Permute<RotateRule<N, By>>(v, v, std::make_index_sequence<N>{});
}

// Whole numbers as floats, rounded to nearest even.
template <unsigned N>
SOTTO_INLINE vector<float, N> to_float(const vector<int32_t, N>& v) {
  vector<float, N> out;
  out.native = __builtin_convertvector(v.native, NativeVector<float, N>);
  return out;
}

}  // namespace sotto::npu::vec

#include "npu/kernels/vec_host_mmul.h"
