// SPDX-License-Identifier: MIT
// vec: the vector instructions that the kernels are written in, a named subset
// of aie_api. On the core (Peano defines __AIE_ARCH__) every name is aie_api's
// own; on the host vec_host.h gives the same names an exact meaning, so one
// source is unit-tested, simulated and shipped.
//
// What "exact" means here:
//  * Integers: two's complement, 32-bit sums. A shift on the way out of an
//    accumulator rounds as set_rounding says (floor unless set) and saturates
//    or wraps as set_saturation says (wraps unless set).
//  * float to bf16 rounds by the same mode. Floor, the core's default, is what
//    the published outputs fit; production kernels set conv_even.
//  * A bf16 product is exact in f32. mmul adds the K products to the
//    accumulator one by one, k ascending, each sum rounded to nearest even.
//    Hardware instead aligns the products of one instruction to the largest
//    exponent and truncates; set_bf16_sums(kAligned) does that (host only), to
//    see how far it moves a result.
//  * f32 has no multiplier. kernels/elementary.h builds products out of bf16
//    halves; kernels use those, never a float times a float.
//  * Integer products: int16 by int16 in 32 bits, 32 lanes a multiply (aie::mul,
//    aie::mac on acc32; mul_elem_32, mac_elem_32), int32 by int16 in 64 bits, by
//    halves, 16 lanes in two multiplies (the same on acc64; mul_elem_16_2).
//    accum(v, shift) is aie::accum::from_vector (VUPS), to_vector<T>(shift)
//    shift-round-saturate (VSRS, or VST.SRS with a store), add, sub, min and max
//    of int16 one instruction of 32 lanes, of which sums wrap (VADD.16).
//
// Sources: aie_api (names, shapes), llvm-aie (instructions), AM020 (alignment of
// bf16 sums), and the published kernel outputs listed in docs/npu-kernels.md.
#pragma once

#include <cstddef>
#include <cstdint>

#define SOTTO_INLINE inline __attribute__((always_inline))
// Behind a lambda's parameters.
#define SOTTO_INLINE_LAMBDA __attribute__((always_inline))
#define SOTTO_RESTRICT __restrict__

#if defined(__AIE_ARCH__) || defined(__aie__)

#include <aie_api/aie.hpp>

// Before a loop whose trips are known and which is no loop on the core.
#define SOTTO_UNROLL _Pragma("clang loop unroll(full)")

namespace sotto::npu::vec {
using namespace ::aie;
using bf16 = ::bfloat16;
SOTTO_INLINE float ToFloat(bf16 x) { return static_cast<float>(x); }
SOTTO_INLINE bf16 ToBf16(float x) { return static_cast<bf16>(x); }
// aie_api takes these constants as arguments.
template <unsigned Rows, unsigned Cols, typename V>
SOTTO_INLINE V transpose(const V& v) {
  return ::aie::transpose(v, Rows, Cols);
}
template <unsigned Step, typename V>
SOTTO_INLINE auto interleave_zip(const V& a, const V& b) {
  return ::aie::interleave_zip(a, b, Step);
}
template <unsigned Step, typename V>
SOTTO_INLINE auto interleave_unzip(const V& a, const V& b) {
  return ::aie::interleave_unzip(a, b, Step);
}
// 16 entries of a table in this tile's memory, by index. The table stands once:
// parallel lookups want four copies.
template <typename T>
SOTTO_INLINE vector<T, 16> lookup(const T* table,
                                  const vector<int32_t, 16>& index) {
  vector<T, 16> out;
  for (unsigned i = 0; i < 16; ++i) out.set(table[index.get(i)], i);
  return out;
}
}  // namespace sotto::npu::vec

// The core runs what it was compiled for.
#define SOTTO_KERNEL(name, parameters, arguments) \
  extern "C" void name parameters { name##_body arguments; }

#else

#include "npu/kernels/vec_host.h"

#define SOTTO_UNROLL

#if defined(__x86_64__) && !defined(SOTTO_NPU_ONE_WIDTH)
#define SOTTO_AVX2 __attribute__((target("avx2,fma,f16c,bmi2")))
#define SOTTO_AVX512 \
  __attribute__((    \
      target("avx2,fma,bmi2,avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")))
// Defines extern "C" `name`, which runs name_body as compiled for the machine's
// vector width. The body and all that it calls are always inlined, so nothing
// compiled for a wider machine can leak into another translation unit. No
// contraction (-ffp-contract=off): every width gives the same bits.
#define SOTTO_KERNEL(name, parameters, arguments)                              \
  SOTTO_AVX512 static void name##_avx512 parameters { name##_body arguments; } \
  SOTTO_AVX2 static void name##_avx2 parameters { name##_body arguments; }     \
  static void name##_base parameters { name##_body arguments; }                \
  extern "C" void name parameters {                                            \
    switch (::sotto::npu::vec::HostLevel()) {                                  \
      case 2:                                                                  \
        return name##_avx512 arguments;                                        \
      case 1:                                                                  \
        return name##_avx2 arguments;                                          \
      default:                                                                 \
        return name##_base arguments;                                          \
    }                                                                          \
  }
#else
#define SOTTO_KERNEL(name, parameters, arguments) \
  SOTTO_SMALL_KERNEL(name, parameters, arguments)
#endif

#endif

// For kernels that no simulation waits for: compiled once, for any machine.
#define SOTTO_SMALL_KERNEL(name, parameters, arguments) \
  extern "C" void name parameters { name##_body arguments; }
