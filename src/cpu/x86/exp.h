// SPDX-License-Identifier: MIT
// The vector exponential and the GELU of this folder.
#pragma once

#include "cpu/x86/target.h"

namespace sotto::cpu::x86 {

inline constexpr float kLog2E = 1.44269504089f;

// 2^f for f in [0, 1): minimax polynomial of degree 5 with constant term 1,
// relative error 8.3e-8 before rounding.
SOTTO_AVX512_INLINE __m512 Exp2Fraction(__m512 f) {
  __m512 p = _mm512_set1_ps(0.001867129927f);
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(0.009017030645f));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(0.05579991286f));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(0.2401644502f));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(0.6931513118f));
  return _mm512_fmadd_ps(p, f, _mm512_set1_ps(1.0f));
}

// 2^x, relative error at most 2e-7, exactly 1 at 0 and 0 at -inf.
// vscalefps takes the floor of its exponent itself, so the whole costs eight
// instructions: an encoder window of Whisper base needs 108 million of these.
SOTTO_AVX512_INLINE __m512 Exp2(__m512 x) {
  constexpr int kFloor = 0x01;  // no fraction bits kept, towards -inf
  const __m512 fraction = _mm512_reduce_ps(x, kFloor);
  return _mm512_scalef_ps(Exp2Fraction(fraction), x);
}

// x Phi(x), the erf form of GELU, to about 1e-6 relative where the result is
// above 1e-6 and 1e-5 below, also far in the negative tail, where
// 1 + erf(x / sqrt 2) would cancel: with a = |x|,
//   x Phi(x) = max(x, 0) - a Phi(-a),  Phi(-a) = exp(-a^2 / 2) g(a),
// and g, a scaled erfcx, is a polynomial of degree 9 in t = 1 / (1 + a / 3)
// (minimax over a in [0, 13.5], 4.2e-8 relative).
SOTTO_AVX512_INLINE __m512 Gelu(__m512 x) {
  const __m512 a = _mm512_min_ps(_mm512_abs_ps(x), _mm512_set1_ps(13.5f));
  const __m512 d =
      _mm512_fmadd_ps(a, _mm512_set1_ps(1.0f / 3.0f), _mm512_set1_ps(1.0f));
  __m512 t = _mm512_rcp14_ps(d);
  t = _mm512_mul_ps(t, _mm512_fnmadd_ps(d, t, _mm512_set1_ps(2.0f)));

  // -a^2 / 2 in units of log 2, and what rounding took from it.
  const __m512 k = _mm512_set1_ps(-0.5f * kLog2E);
  const __m512 ka = _mm512_mul_ps(k, a);
  const __m512 z = _mm512_mul_ps(ka, a);
  const __m512 lost =
      _mm512_fmadd_ps(_mm512_fmsub_ps(k, a, ka), a, _mm512_fmsub_ps(ka, a, z));
  const __m512 fraction = _mm512_add_ps(_mm512_reduce_ps(z, 0x01), lost);
  const __m512 e = _mm512_scalef_ps(Exp2Fraction(fraction), z);

  __m512 g = _mm512_set1_ps(-0.02309408378f);
  g = _mm512_fmadd_ps(g, t, _mm512_set1_ps(0.1311616265f));
  g = _mm512_fmadd_ps(g, t, _mm512_set1_ps(-0.2744285348f));
  g = _mm512_fmadd_ps(g, t, _mm512_set1_ps(0.2224480773f));
  g = _mm512_fmadd_ps(g, t, _mm512_set1_ps(-0.05570021904f));
  g = _mm512_fmadd_ps(g, t, _mm512_set1_ps(0.1208685824f));
  g = _mm512_fmadd_ps(g, t, _mm512_set1_ps(0.1121853366f));
  g = _mm512_fmadd_ps(g, t, _mm512_set1_ps(0.1336060686f));
  g = _mm512_fmadd_ps(g, t, _mm512_set1_ps(0.132953167f));
  g = _mm512_mul_ps(g, t);

  const __m512 tail = _mm512_mul_ps(_mm512_mul_ps(a, g), e);
  // note: max(NaN, 0) would be 0; with the operands this way round it is NaN.
  const __m512 positive = _mm512_max_ps(_mm512_setzero_ps(), x);
  return _mm512_sub_ps(positive, tail);
}

}  // namespace sotto::cpu::x86
