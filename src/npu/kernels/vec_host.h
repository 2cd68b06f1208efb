// SPDX-License-Identifier: MIT
// The host's half of vec.h: vectors, accumulators and the core's control
// register. vec_host_ops.h has the operations. Vectors are the compiler's own
// (vector_size), so the same line becomes SSE2, AVX2 or AVX-512.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <utility>

namespace sotto::npu::vec {

struct bf16 {
  uint16_t bits;
  friend bool operator==(bf16, bf16) = default;
};

enum class rounding_mode : uint8_t {
  floor,
  ceil,
  positive_inf,    // nearest, halves up
  negative_inf,    // nearest, halves down
  symmetric_inf,   // nearest, halves away from zero
  symmetric_zero,  // nearest, halves toward zero
  conv_even,       // nearest, halves to even
  conv_odd,
};
enum class saturation_mode : uint8_t { none, saturate };
enum class bf16_sums : uint8_t { kSequential, kAligned };

// The core's control register; each thread of the host is a core.
struct Control {
  rounding_mode rounding = rounding_mode::floor;
  saturation_mode saturation = saturation_mode::none;
  bf16_sums sums = bf16_sums::kSequential;
};
constinit inline thread_local Control control;

SOTTO_INLINE void set_rounding(rounding_mode mode) { control.rounding = mode; }
SOTTO_INLINE void set_saturation(saturation_mode mode) {
  control.saturation = mode;
}
// Host only, see vec.h.
SOTTO_INLINE void set_bf16_sums(bf16_sums mode) { control.sums = mode; }

// 0: what every x86-64 has, 1: AVX2, 2: AVX-512 with VNNI. Tests lower it.
int HostLevel();
void SetHostLevel(int level);

// What is added to a value before its low `shift` bits are cut, so that the
// cut rounds as `mode` says. `kept_odd`: 1 where the lowest kept bit is set.
template <typename V>
SOTTO_INLINE V RoundingAddend(rounding_mode mode, V half, V negative,
                              V kept_odd) {
  switch (mode) {
    case rounding_mode::floor:
      return half - half;
    case rounding_mode::ceil:
      return half - 1 + half;  // in this order it fits where half is 2^30
    case rounding_mode::positive_inf:
      return half;
    case rounding_mode::negative_inf:
      return half - 1;
    case rounding_mode::symmetric_inf:
      return half - negative;
    case rounding_mode::symmetric_zero:
      return half - 1 + negative;
    case rounding_mode::conv_even:
      return half - 1 + kept_odd;
    case rounding_mode::conv_odd:
      return half - kept_odd;
  }
  return half;
}

template <typename T, unsigned N>
using NativeVector __attribute__((vector_size(N * sizeof(T)))) = T;

// Sums and products of integer lanes wrap as the core's do: as unsigned lanes
// they may. Floats stay what they are.
template <typename V>
SOTTO_INLINE auto Wrapped(V v) {
  using Lane = std::remove_cvref_t<decltype(v[0])>;
  if constexpr (std::is_integral_v<Lane>) {
    return __builtin_convertvector(
        v, NativeVector<std::make_unsigned_t<Lane>, sizeof(V) / sizeof(Lane)>);
  } else {
    return v;
  }
}
// acc + a * b and acc - a * b, of lanes as wide as the accumulator's.
template <typename V>
SOTTO_INLINE V WrappedMac(V acc, V a, V b) {
  return __builtin_convertvector(Wrapped(acc) + Wrapped(a) * Wrapped(b), V);
}
template <typename V>
SOTTO_INLINE V WrappedMsc(V acc, V a, V b) {
  return __builtin_convertvector(Wrapped(acc) - Wrapped(a) * Wrapped(b), V);
}

template <typename T>
struct LaneOf {
  using type = T;
};
template <>
struct LaneOf<bf16> {
  using type = uint16_t;
};

template <unsigned N>
SOTTO_INLINE NativeVector<uint16_t, N> RoundBf16(NativeVector<float, N> x) {
  using U = NativeVector<uint32_t, N>;
  U bits;
  __builtin_memcpy(&bits, &x, sizeof(bits));
  const U negative = bits >> 31;
  const U odd = (bits >> 16) & 1u;
  U rounded;
  // The bits are a magnitude with a sign, so the directed modes swap for
  // negative values.
  switch (control.rounding) {
    case rounding_mode::floor:
      rounded = bits + negative * 0xFFFFu;
      break;
    case rounding_mode::ceil:
      rounded = bits + (1u - negative) * 0xFFFFu;
      break;
    case rounding_mode::positive_inf:
      rounded = bits + 0x8000u - negative;
      break;
    case rounding_mode::negative_inf:
      rounded = bits + 0x7FFFu + negative;
      break;
    case rounding_mode::symmetric_inf:
      rounded = bits + 0x8000u;
      break;
    case rounding_mode::symmetric_zero:
      rounded = bits + 0x7FFFu;
      break;
    case rounding_mode::conv_odd:
      rounded = bits + 0x8000u - odd;
      break;
    default:
      rounded = bits + 0x7FFFu + odd;
      break;
  }
  const U magnitude = bits & 0x7FFFFFFFu;
  const U special = magnitude >= 0x7F800000u;  // infinities, NaN: as they are
  const U quiet = (magnitude > 0x7F800000u) & 0x00400000u;
  rounded = (special & (bits | quiet)) | (~special & rounded);
  return __builtin_convertvector(rounded >> 16, NativeVector<uint16_t, N>);
}

template <unsigned N>
SOTTO_INLINE NativeVector<float, N> WidenBf16(NativeVector<uint16_t, N> x) {
  const NativeVector<uint32_t, N> bits =
      __builtin_convertvector(x, NativeVector<uint32_t, N>) << 16;
  NativeVector<float, N> out;
  __builtin_memcpy(&out, &bits, sizeof(out));
  return out;
}

SOTTO_INLINE float ToFloat(bf16 x) {
  return std::bit_cast<float>(static_cast<uint32_t>(x.bits) << 16);
}
SOTTO_INLINE bf16 ToBf16(float x) {
  const NativeVector<float, 4> lanes = {x, 0, 0, 0};
  return bf16{RoundBf16<4>(lanes)[0]};
}

template <typename T, unsigned N>
class vector {
 public:
  using Lane = typename LaneOf<T>::type;
  using Native = NativeVector<Lane, N>;

  static constexpr unsigned size() { return N; }
  SOTTO_INLINE T get(unsigned i) const {
    return std::bit_cast<T>(static_cast<Lane>(native[i]));
  }
  SOTTO_INLINE T operator[](unsigned i) const { return get(i); }
  SOTTO_INLINE void set(T value, unsigned i) {
    native[i] = std::bit_cast<Lane>(value);
  }
  // Part `part` of N / M.
  template <unsigned M>
  SOTTO_INLINE vector<T, M> extract(unsigned part) const {
    vector<T, M> out;
    __builtin_memcpy(
        &out.native,
        reinterpret_cast<const char*>(&native) + part * sizeof(out.native),
        sizeof(out.native));
    return out;
  }
  template <unsigned M>
  SOTTO_INLINE vector& insert(unsigned part, const vector<T, M>& value) {
    __builtin_memcpy(
        reinterpret_cast<char*>(&native) + part * sizeof(value.native),
        &value.native, sizeof(value.native));
    return *this;
  }
  // As often after each other as M has room for.
  template <unsigned M>
  SOTTO_INLINE vector<T, M> grow_replicate() const {
    vector<T, M> out;
    for (unsigned part = 0; part < M / N; ++part) out.insert(part, *this);
    return out;
  }
  // The same bits as lanes of another type.
  template <typename U>
  SOTTO_INLINE vector<U, N * sizeof(T) / sizeof(U)> cast_to() const {
    vector<U, N * sizeof(T) / sizeof(U)> out;
    __builtin_memcpy(&out.native, &native, sizeof(native));
    return out;
  }

  Native native;
};

struct accfloat {
  using Lane = float;
};
struct acc32 {
  using Lane = int32_t;
};
struct acc64 {
  using Lane = int64_t;
};

// shift-round-saturate of an integer accumulator's N lanes, `shift` from 0 to
// the lanes' bits less one. What is cut off is rounded by itself, so nothing
// overflows at the lanes' own width.
template <typename T, typename Lane, unsigned N>
SOTTO_INLINE NativeVector<T, N> ShiftRoundSaturate(NativeVector<Lane, N> value,
                                                   int shift) {
  static_assert(std::is_signed_v<T> && sizeof(T) <= sizeof(Lane));
  using Wide = NativeVector<Lane, N>;
  if (shift > 0) {
    const Lane unit = Lane{1} << (shift - 1);
    const Wide kept = value >> shift;
    const Wide cut = value & (unit + (unit - 1));
    const Wide half = (value ^ value) + unit;
    const Wide addend =
        RoundingAddend<Wide>(control.rounding, half,
                             (value >> (8 * sizeof(Lane) - 1)) & 1, kept & 1);
    // cut + addend is at most 2^(shift + 1) - 2: one bit more than cut.
    using Bits = NativeVector<std::make_unsigned_t<Lane>, N>;
    const Bits carried = __builtin_convertvector(cut, Bits) +
                         __builtin_convertvector(addend, Bits);
    value = kept + __builtin_convertvector(carried >> shift, Wide);
  }
  if (control.saturation == saturation_mode::saturate) {
    const Wide zero = value ^ value;
    const Wide most = zero + Lane{std::numeric_limits<T>::max()};
    const Wide least = zero + Lane{std::numeric_limits<T>::min()};
    value = value > most ? most : value;
    value = value < least ? least : value;
  }
  return __builtin_convertvector(value, NativeVector<T, N>);
}

template <typename Tag, unsigned N>
class accum {
 public:
  using Lane = typename Tag::Lane;
  using Native = NativeVector<Lane, N>;

  accum() = default;
  // The vector's values shifted left by `shift`; bf16 and float as they are.
  template <typename T>
  SOTTO_INLINE explicit accum(const vector<T, N>& v, int shift = 0) {
    if constexpr (std::is_same_v<T, bf16>) {
      native = WidenBf16<N>(v.native);
    } else if constexpr (std::is_same_v<Tag, accfloat>) {
      native = v.native;
    } else {
      native = __builtin_convertvector(v.native, Native) << shift;
    }
  }
  template <typename T>
  SOTTO_INLINE vector<T, N> to_vector(int shift = 0) const {
    vector<T, N> out;
    if constexpr (std::is_same_v<T, bf16>) {
      out.native = RoundBf16<N>(native);
    } else if constexpr (std::is_same_v<Tag, accfloat>) {
      out.native = native;
    } else {
      out.native = ShiftRoundSaturate<T, Lane, N>(native, shift);
    }
    return out;
  }

  Native native;
};

}  // namespace sotto::npu::vec

#include "npu/kernels/vec_host_ops.h"
