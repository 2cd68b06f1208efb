// SPDX-License-Identifier: MIT
// The one vector exponential, and the error function of GELU.

#if defined(SOTTO_CPU_SIMD_EXP_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SOTTO_CPU_SIMD_EXP_INL_H_
#undef SOTTO_CPU_SIMD_EXP_INL_H_
#else
#define SOTTO_CPU_SIMD_EXP_INL_H_
#endif

#include "cpu/simd/vec-inl.h"

HWY_BEFORE_NAMESPACE();
namespace sotto::cpu::HWY_NAMESPACE {

// e^x within 2 units of the last place; 0 below -87, where the result would
// leave the normal numbers; the largest finite value's neighbourhood above 88.
//
// x = n ln 2 + r, |r| <= ln 2 / 2; e^r = 1 + r + r^2 P(r), P fitted to a
// relative error of 3e-9; 2^n goes straight into the exponent.
HWY_INLINE V Exp(V x) {
  const D d;
  // Adding 1.5 * 2^23 leaves the integer nearest x / ln 2 in the low bits.
  const V magic = hn::Set(d, 12582912.0f);
  const V top = hn::Min(x, hn::Set(d, 88.37f));
  const V shifted = hn::MulAdd(top, hn::Set(d, 1.44269504f), magic);
  const V n = hn::Sub(shifted, magic);
  // ln 2 in two parts: n times the first is exact.
  V r = hn::NegMulAdd(n, hn::Set(d, 0.693359375f), top);
  r = hn::NegMulAdd(n, hn::Set(d, -2.12194440e-4f), r);
  V p = hn::Set(d, 0.001381461f);
  p = hn::MulAdd(p, r, hn::Set(d, 0.008368713f));
  p = hn::MulAdd(p, r, hn::Set(d, 0.04166839f));
  p = hn::MulAdd(p, r, hn::Set(d, 0.16666521f));
  p = hn::MulAdd(p, r, hn::Set(d, 0.49999994f));
  const V r2 = hn::Mul(r, r);
  p = hn::Add(hn::MulAdd(p, r2, r), hn::Set(d, 1.0f));
  const auto exponent = hn::ShiftLeft<23>(hn::BitCast(DI32(), shifted));
  const V scaled = hn::BitCast(d, hn::Add(hn::BitCast(DI32(), p), exponent));
  return hn::IfThenElseZero(hn::Ge(x, hn::Set(d, -87.0f)), scaled);
}

// x/2 (1 + erf(x / sqrt 2)), within 3e-7 |x|. erf(t) = t P(t^2) / Q(t^2), both
// fitted on |t| < 3.925 to a relative error of 2e-8; beyond, erf is 1 in f32.
HWY_INLINE V Gelu(V x) {
  const D d;
  const V t = hn::Mul(x, hn::Set(d, 0.707106781f));
  const V s = hn::Mul(t, t);
  V p = hn::Set(d, 2.0462855e-06f);
  p = hn::MulAdd(p, s, hn::Set(d, 0.00028481352f));
  p = hn::MulAdd(p, s, hn::Set(d, 0.0037711817f));
  p = hn::MulAdd(p, s, hn::Set(d, 0.052765094f));
  p = hn::MulAdd(p, s, hn::Set(d, 0.19056177f));
  p = hn::MulAdd(p, s, hn::Set(d, 1.1283791f));
  V q = hn::Set(d, 3.8048875e-05f);
  q = hn::MulAdd(q, s, hn::Set(d, 0.001163527f));
  q = hn::MulAdd(q, s, hn::Set(d, 0.014980463f));
  q = hn::MulAdd(q, s, hn::Set(d, 0.114169516f));
  q = hn::MulAdd(q, s, hn::Set(d, 0.5022137f));
  q = hn::MulAdd(q, s, hn::Set(d, 1.0f));
  const V inner = hn::Div(hn::Mul(t, p), q);
  const V one = hn::Set(d, 1.0f);
  const V erf = hn::IfThenElse(hn::Lt(hn::Abs(t), hn::Set(d, 3.925f)), inner,
                               hn::CopySign(one, t));
  const V half = hn::Mul(x, hn::Set(d, 0.5f));
  return hn::MulAdd(half, erf, half);
}

}  // namespace sotto::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // SOTTO_CPU_SIMD_EXP_INL_H_
