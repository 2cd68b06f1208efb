// SPDX-License-Identifier: MIT
// What attention keeps of its rows between two blocks of keys; flash.cc says
// how it works.
//
// state: base i32 [rows/4][32], then f32 [rows/4][1 + d/4][4][4], a row's sum
// and its outputs; a base stands in eight lanes, as the products with keys have
// them, a sum in four. rows * (12 + d) words. Block 0 finds nothing there.
#pragma once

#include "npu/kernels/elementary.h"

namespace sotto::npu {

using Steps = vec::vector<int16_t, 32>;  // scores of 4 rows, 8 keys
using Totals = vec::accum<vec::acc32, 32>;

inline constexpr int kStepBits = 8;
// Sums of 1500 probabilities up to 2^64 times V stay far inside f32.
inline constexpr int kSlack = 64;
// A float plus 1.5 * 2^23 has its value as a whole number in its low bits, plus
// 1.5 * 2^15 in steps of 2^-8.
inline constexpr float kRoundSteps = kRound / (1 << kStepBits);
inline constexpr int32_t kRoundStepsBits = kRoundBits - (kStepBits << 23);

SOTTO_INLINE Steps Steps32(int16_t x) { return vec::broadcast<int16_t, 32>(x); }
SOTTO_INLINE Totals Totals32(int32_t x) {
  return Totals(vec::broadcast<int32_t, 32>(x));
}
SOTTO_INLINE Words Word16(int32_t x) { return vec::broadcast<int32_t, 16>(x); }

// The maximum of each row of a 4x4 block, in all its four lanes.
SOTTO_INLINE Words RowMaximum(const Words& v) {
  const auto [even, odd] = vec::interleave_unzip<1>(v, v);
  const Words pairs = vec::max(even, odd);
  const auto [first, second] = vec::interleave_unzip<1>(pairs, pairs);
  return vec::transpose<4, 4>(vec::max(first, second));
}

SOTTO_INLINE Floats LoadUnless(bool first, const float* p) {
  return first ? Float16(0.0F) : vec::load_v<16>(p);
}

// base: what is added to a row's sums so that, after a shift, they count in
// steps from one above its reference: offset - (reference + 1) * 2^bits.
struct FlashState {
  int32_t* base;
  float* sums;
  int d;

  SOTTO_INLINE FlashState(float* state, int rows, int d_model)
      : base(reinterpret_cast<int32_t*>(state)),
        sums(state + rows * 8),
        d(d_model) {}

  SOTTO_INLINE int Stride() const { return (d / 4 + 1) * 16; }
  SOTTO_INLINE float* Sum(int block) const { return sums + block * Stride(); }
  SOTTO_INLINE float* Out(int block) const { return Sum(block) + 16; }

  SOTTO_INLINE Totals Base(int block) const {
    return Totals(vec::load_v<32>(base + block * 32));
  }
  // Sets the reference of four rows, whose greatest scores, in whole numbers,
  // are `best`; but in the first block only where that is near kSlack above it.
  // kHalves: 4 x 8 products are two blocks of 4 x 4, else one.
  template <bool kHalves>
  SOTTO_INLINE void Move(int block, const Steps& best, int32_t offset, int bits,
                         bool first) const {
    const auto wide = Totals(best).to_vector<int32_t>();
    const auto [left, right] =
        vec::interleave_unzip<4>(wide.extract<16>(0), wide.extract<16>(1));
    // The reference and one: it is to be above the score, which is rounded.
    const Words top = vec::add(RowMaximum(vec::max(left, right)), Word16(2));
    const Words next = vec::sub(Word16(offset),
                                vec::upshift(top, static_cast<unsigned>(bits)));
    int32_t* at = base + block * 32;
    if (first) return SetBase<kHalves>(at, next);
    const Words half = vec::load_v<16>(at);
    const Words old =
        kHalves
            ? half
            : vec::interleave_unzip<4>(half, vec::load_v<16>(at + 16)).first;
    const Words now = vec::select(
        old, next, vec::lt(next, vec::sub(old, Word16(kSlack << bits))));
    SetBase<kHalves>(at, now);
    const Words power =
        vec::downshift(vec::sub(now, old), static_cast<unsigned>(bits));
    Rescale(block, vec::upshift(vec::max(power, Word16(-126)), 23));
  }
  template <bool kHalves>
  static SOTTO_INLINE void SetBase(int32_t* at, const Words& four) {
    const auto [low, high] = vec::interleave_zip<4>(four, four);
    vec::store_v(at, kHalves ? four : low);
    vec::store_v(at + 16, kHalves ? four : high);
  }
  // Times a power of two: `exponent` is added to the floats' own.
  SOTTO_INLINE void Rescale(int block, const Words& exponent) const {
    float* p = Sum(block);
    for (int j = 0; j < Stride(); j += 16) {
      const Words bits = vec::load_v<16>(p + j).cast_to<int32_t>();
      const Words own = vec::bit_and(bits, Word16(0x7F800000));
      const Words scaled =
          vec::select(Word16(0), vec::add(bits, exponent),
                      vec::gt(vec::add(own, exponent), Word16(0)));
      vec::store_v(p + j, scaled.cast_to<float>());
    }
  }
};

}  // namespace sotto::npu
