// SPDX-License-Identifier: MIT
// Vectors of f32, and how f16 and bf16 come in and go out.

// note: no #pragma once; Highway includes this once per instruction set.
#if defined(SOTTO_CPU_SIMD_VEC_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SOTTO_CPU_SIMD_VEC_INL_H_
#undef SOTTO_CPU_SIMD_VEC_INL_H_
#else
#define SOTTO_CPU_SIMD_VEC_INL_H_
#endif

#include <cstdint>

#include "cpu/kernel.h"
#include "hwy/highway.h"
#include "tensor/half.h"

HWY_BEFORE_NAMESPACE();
namespace sotto::cpu::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// A panel is 16 columns: 1, 2 or 4 of these.
using D = HWY_CAPPED(float, 16);
using V = hn::Vec<D>;
using D32 = hn::RebindToUnsigned<D>;
using DI32 = hn::RebindToSigned<D>;
using D16 = hn::Rebind<uint16_t, D>;
inline constexpr int64_t kLanes = static_cast<int64_t>(hn::MaxLanes(D()));
inline constexpr int64_t kPanelVecs = kPanel / kLanes;
// 4-cycle FMA on two ports wants 8 sums in flight; more rows per loaded
// weight want as many as registers allow, less two weights and a broadcast.
inline constexpr int64_t kRegisters = (HWY_TARGET == HWY_AVX2) ? 16 : 32;

HWY_INLINE const uint16_t* Bits(const BF16* values) { return &values->bits; }
HWY_INLINE uint16_t* Bits(BF16* values) { return &values->bits; }

HWY_INLINE V Load(const float* from) { return hn::LoadU(D(), from); }

HWY_INLINE V Load(const BF16* from) {
  const auto bits = hn::PromoteTo(D32(), hn::LoadU(D16(), Bits(from)));
  return hn::BitCast(D(), hn::ShiftLeft<16>(bits));
}

HWY_INLINE V Load(const F16* from) {
  const hn::Rebind<hwy::float16_t, D> half;
  return hn::PromoteTo(D(),
                       hn::LoadU(half, static_cast<const hwy::float16_t*>(
                                           static_cast<const void*>(from))));
}

// Two neighbouring steps of k for kLanes columns, packed in pairs.
struct Pair {
  V even, odd;
};
HWY_INLINE Pair LoadPair(const BF16* from) {
  const hn::Repartition<uint16_t, D> d16;
  const auto both = hn::BitCast(D32(), hn::LoadU(d16, Bits(from)));
  return {hn::BitCast(D(), hn::ShiftLeft<16>(both)),
          hn::BitCast(D(), hn::And(both, hn::Set(D32(), 0xffff0000u)))};
}

HWY_INLINE void Store(V value, float* to) { hn::StoreU(value, D(), to); }

// Round to nearest even; NaN stays NaN, made quiet.
HWY_INLINE void Store(V value, BF16* to) {
  const D32 d32;
  const auto bits = hn::BitCast(d32, value);
  const auto high = hn::ShiftRight<16>(bits);
  const auto tie = hn::And(high, hn::Set(d32, 1));
  const auto rounded =
      hn::ShiftRight<16>(hn::Add(hn::Add(bits, hn::Set(d32, 0x7fff)), tie));
  const auto quiet = hn::Or(high, hn::Set(d32, 0x40));
  const auto nan = hn::RebindMask(d32, hn::IsNaN(value));
  const auto out = hn::IfThenElse(nan, quiet, rounded);
  hn::StoreU(hn::DemoteTo(D16(), hn::BitCast(DI32(), out)), D16(), Bits(to));
}

// `count` values widened to f32.
template <typename T>
HWY_INLINE void Widen(const T* from, int64_t count, float* to) {
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) Store(Load(from + i), to + i);
  for (; i < count; ++i) to[i] = ToFloat(from[i]);
}

HWY_INLINE void WidenAs(DType type, const void* from, int64_t at, int64_t count,
                        float* to) {
  if (type == DType::kBF16) {
    Widen(static_cast<const BF16*>(from) + at, count, to);
  } else {
    Widen(static_cast<const float*>(from) + at, count, to);
  }
}

HWY_INLINE void StoreScalar(float value, float* to) { *to = value; }
HWY_INLINE void StoreScalar(float value, BF16* to) { *to = ToBF16(value); }

}  // namespace sotto::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // SOTTO_CPU_SIMD_VEC_INL_H_
