// SPDX-License-Identifier: MIT
// Elementary functions on the core's vectors, without libm and without an f32
// multiplier: a float is the sum of two or three bf16, products are bf16
// products summed in f32. All assume set_rounding(conv_even).
//
// Vectors of 16 floats, one accumulator register.
#pragma once

#include <bit>

#include "npu/kernels/gelu_table.h"
#include "npu/kernels/vec.h"

namespace sotto::npu {

using vec::bf16;
using Floats = vec::vector<float, 16>;
using Halves = vec::vector<bf16, 16>;
using Words = vec::vector<int32_t, 16>;
using Sums = vec::accum<vec::accfloat, 16>;

SOTTO_INLINE Floats Float16(float x) { return vec::broadcast<float, 16>(x); }
SOTTO_INLINE Halves Half16(float x) {
  return vec::broadcast<bf16, 16>(vec::ToBf16(x));
}
SOTTO_INLINE Halves ToHalves(const Floats& x) {
  return Sums(x).to_vector<bf16>();
}
SOTTO_INLINE Floats ToFloats(const Halves& x) {
  return Sums(x).to_vector<float>();
}
// Eight channels' constants over two rows.
SOTTO_INLINE Floats TwoRows(const float* p) {
  const vec::vector<float, 8> eight = vec::load_v<8>(p);
  return vec::concat(eight, eight);
}
SOTTO_INLINE Floats Result(const Sums& x) { return x.to_vector<float>(); }

// A float as bf16 parts, largest first. Two parts keep 16 bits of the mantissa,
// three all 24.
struct TwoParts {
  Halves high, low;
};
struct ThreeParts {
  Halves high, mid, low;
};
SOTTO_INLINE TwoParts SplitTwo(const Floats& x) {
  const Halves high = ToHalves(x);
  return {high, ToHalves(vec::sub(x, ToFloats(high)))};
}
SOTTO_INLINE ThreeParts SplitThree(const Floats& x) {
  const Halves high = ToHalves(x);
  const Floats rest = vec::sub(x, ToFloats(high));
  const Halves mid = ToHalves(rest);
  return {high, mid, ToHalves(vec::sub(rest, ToFloats(mid)))};
}

// acc + a * b to 16 bits (three products).
SOTTO_INLINE Sums MacTwo(const Sums& acc, const TwoParts& a,
                         const TwoParts& b) {
  return vec::mac(vec::mac(vec::mac(acc, a.low, b.high), a.high, b.low), a.high,
                  b.high);
}
SOTTO_INLINE Floats MulTwo(const Floats& a, const Floats& b) {
  return Result(MacTwo(Sums(Float16(0.0F)), SplitTwo(a), SplitTwo(b)));
}
// acc + a * b to about 23 bits (six products, small ones first).
SOTTO_INLINE Sums MacThree(const Sums& acc, const ThreeParts& a,
                           const ThreeParts& b) {
  Sums sum = vec::mul(a.mid, b.mid);
  sum = vec::mac(sum, a.low, b.high);
  sum = vec::mac(sum, a.high, b.low);
  sum = vec::mac(sum, a.mid, b.high);
  sum = vec::mac(sum, a.high, b.mid);
  return vec::add(vec::mac(sum, a.high, b.high), acc);
}
SOTTO_INLINE Floats MulThree(const Floats& a, const Floats& b) {
  return Result(MacThree(Sums(Float16(0.0F)), SplitThree(a), SplitThree(b)));
}

// 1.5 * 2^23: adding it rounds a float below 2^22 to a whole number, which then
// stands in the low bits.
inline constexpr float kRound = 12582912.0F;
inline constexpr int32_t kRoundBits = 0x4B400000;

// 2^y for y in [-126, 126], relative error below 2e-4: y's whole part goes to
// the exponent, a cubic (minimax, relative) does the rest.
SOTTO_INLINE Floats Exp2(const Floats& y) {
  const Floats clamped =
      vec::max(vec::min(y, Float16(126.0F)), Float16(-126.0F));
  const Floats rounded = vec::add(clamped, Float16(kRound));
  const Floats f = vec::sub(clamped, vec::sub(rounded, Float16(kRound)));
  const TwoParts parts = SplitTwo(f);
  Sums sum =
      vec::mac(Sums(Float16(0.24261112F)), parts.high, Half16(0.05517167F));
  sum = vec::mac(Sums(Float16(0.69326099F)), parts.high, sum.to_vector<bf16>());
  sum = MacTwo(Sums(Float16(0.99992807F)), parts, SplitTwo(Result(sum)));
  const Words exponent = vec::upshift(rounded.cast_to<int32_t>(), 23);
  return vec::add(Result(sum).cast_to<int32_t>(), exponent).cast_to<float>();
}

// 2^(s - base) for s - base in [-126, 0] and whole `base`, for probabilities
// that become bf16: a quadratic of one bf16 part, relative error below 0.4 %,
// half a bf16 step. 9 vector operations and 2 products.
//
// magic: kRound - base, exact.
SOTTO_INLINE Floats Exp2Probability(const Floats& s, const Floats& magic) {
  const Floats rounded = vec::add(s, magic);
  const Halves f = ToHalves(vec::sub(s, vec::sub(rounded, magic)));
  Sums sum = vec::mac(Sums(Float16(0.70344801F)), f, Half16(0.23842894F));
  sum = vec::mac(Sums(Float16(1.00044314F)), f, sum.to_vector<bf16>());
  const Words exponent = vec::upshift(rounded.cast_to<int32_t>(), 23);
  return vec::add(Result(sum).cast_to<int32_t>(), exponent).cast_to<float>();
}

// e^x for x in [-87, 87], relative error below 3e-4.
SOTTO_INLINE Floats Exp(const Floats& x) {
  return Exp2(MulTwo(x, Float16(1.44269504F)));
}

// 1 / x for normal x > 0: a first guess from the bits, three steps of Newton.
// Accuracy of the product used, 16 bits or 23.
SOTTO_INLINE Floats Reciprocal(const Floats& x) {
  const Words guess =
      vec::sub(vec::broadcast<int32_t, 16>(0x7EF311C7), x.cast_to<int32_t>());
  Floats y = guess.cast_to<float>();
  for (int step = 0; step < 2; ++step) {
    y = MulTwo(y, vec::sub(Float16(2.0F), MulTwo(x, y)));
  }
  return MulThree(y, vec::sub(Float16(2.0F), MulThree(x, y)));
}

// The same to 16 bits, in less program: a loop.
SOTTO_INLINE Floats ReciprocalTwo(const Floats& x) {
  const Words guess =
      vec::sub(vec::broadcast<int32_t, 16>(0x7EF311C7), x.cast_to<int32_t>());
  Floats y = guess.cast_to<float>();
  for (int step = 0; step < 3; ++step) {
    y = MulTwo(y, vec::sub(Float16(2.0F), MulTwo(x, y)));
  }
  return y;
}

// 1 / sqrt(x) for normal x > 0, to about 22 bits: three steps of Newton, each
// as exact as the last has to be, so that they are a loop.
SOTTO_INLINE Floats ReciprocalRoot(const Floats& x) {
  const Words guess = vec::sub(vec::broadcast<int32_t, 16>(0x5F3759DF),
                               vec::logical_downshift(x.cast_to<int32_t>(), 1));
  Floats y = guess.cast_to<float>();
  const Floats half = MulThree(x, Float16(0.5F));
  for (int step = 0; step < 3; ++step) {
    y = MulThree(y, vec::sub(Float16(1.5F), MulThree(half, MulThree(y, y))));
  }
  return y;
}

SOTTO_INLINE Floats Absolute(const Floats& x) {
  return vec::bit_and(x.cast_to<int32_t>(),
                      vec::broadcast<int32_t, 16>(0x7FFFFFFF))
      .cast_to<float>();
}

// Phi(-|x|) of x's bf16, by table: its bits are the index.
SOTTO_INLINE Halves LowerTail(const Halves& magnitude) {
  const Words bits =
      vec::logical_downshift(ToFloats(magnitude).cast_to<int32_t>(), 16);
  Words index = vec::sub(bits, vec::broadcast<int32_t, 16>(kPhiFirstBits));
  index = vec::max(index, vec::zeros<int32_t, 16>());
  index = vec::min(index, vec::broadcast<int32_t, 16>(kPhiEntries - 1));
  return vec::lookup(kPhiBits, index).cast_to<bf16>();
}

// GELU (erf) as max(x, 0) - |x| Phi(-|x|): the large part stays f32, the tail
// is even and small. Within 2 bf16 steps of the exact function for every x.
SOTTO_INLINE Floats Gelu(const Floats& x) {
  const Halves magnitude = ToHalves(Absolute(x));
  return Result(vec::msc(Sums(vec::max(x, Float16(0.0F))), magnitude,
                         LowerTail(magnitude)));
}

// Rounded to nearest even and saturated, as 32-bit words in [-most - 1, most].
SOTTO_INLINE Words ToRange(const Floats& x, float most) {
  const Floats clamped =
      vec::min(vec::max(x, Float16(-most - 1)), Float16(most));
  const Floats rounded = vec::add(clamped, Float16(kRound));
  return vec::sub(rounded.cast_to<int32_t>(),
                  vec::broadcast<int32_t, 16>(kRoundBits));
}
SOTTO_INLINE Words ToInt8Range(const Floats& x) { return ToRange(x, 127.0F); }
SOTTO_INLINE vec::vector<int8_t, 32> PackInt8(const Words& a, const Words& b) {
  return vec::accum<vec::acc32, 32>(vec::concat(a, b)).to_vector<int8_t>(0);
}

// --- fixed point ------------------------------------------------------------
//
// 32 lanes of int16: one multiply where floats take six for as many. A sum
// comes back to int16 through the shift, rounded and saturated.

using Shorts = vec::vector<int16_t, 32>;
using ShortSums = vec::accum<vec::acc32, 32>;

SOTTO_INLINE Shorts Short32(int16_t x) {
  return vec::broadcast<int16_t, 32>(x);
}
// constant + p x, both terms and the result in the same steps: `shift` bits of
// the product are fraction to those.
SOTTO_INLINE Shorts HornerStep(int16_t constant, const Shorts& p,
                               const Shorts& x, int shift) {
  return vec::mac(ShortSums(Short32(constant), shift), p, x)
      .to_vector<int16_t>(shift);
}
SOTTO_INLINE Shorts Square(const Shorts& x, int shift) {
  return vec::mul(x, x).to_vector<int16_t>(shift);
}

// Fraction bits of what NegativeTail takes and gives.
inline constexpr int kTailInBits = 13;
inline constexpr int kTailOutBits = 29;
// -|x| Phi(-|x|), which GELU(x) (erf) is more than max(x, 0): even, within
// 0.1700 and 0, and as good as 0 from 4 on, where int16 ends. Phi^(1/8) is
// nearly straight: a cubic, squared three times. Within 2.0e-4 of the exact
// one, roundings included (all 65,536 x are tested); the coefficients have 19,
// 17 and 15 bits of fraction, the first 22.
SOTTO_INLINE ShortSums NegativeTail(const Shorts& x) {
  const Shorts n = vec::min(x, vec::sub(vec::zeros<int16_t, 32>(), x));
  Shorts r = HornerStep(-21263, Short32(-22399), n, 16);
  r = HornerStep(11354, r, n, 15);
  r = HornerStep(30022, r, n, 15);
  r = Square(Square(r, 15), 15);
  return vec::mul(Square(r, 14), n);
}

SOTTO_INLINE float FloatOfBits(int32_t bits) {
  return std::bit_cast<float>(bits);
}

// The modes that production kernels run in.
SOTTO_INLINE void SetProductionModes() {
  vec::set_rounding(vec::rounding_mode::conv_even);
  vec::set_saturation(vec::saturation_mode::saturate);
}

}  // namespace sotto::npu
