// SPDX-License-Identifier: MIT
// Matrix products of the encoder, a tile at a time: C stays in L1 while K is
// streamed, then one epilogue scales, adds and narrows it.
//
// Layouts (activations have one, but for codes in int16):
//   activations  [m/4][k/8][4][8], int16 [m/4][k/4][4][4]
//   weights int8 [n/8][k/8][8 of k][8 of n]
//   weights bf16 [n/4][k/8][8 of k][4 of n]
//   sums   int32 [m/4][n/8][4][8], f32 [m/4][n/4][4][4]
// m a multiple of 8, n of 32, k of 8.
#include "npu/kernels/device.h"
#include "npu/kernels/elementary.h"

namespace sotto::npu {
namespace {

// 2 x 4 blocks of 4x8 sums at a time: eight of the nine accumulators, ten loads
// for eight multiplies, of int16 six, so the multiplier is what limits. K of a
// multiply: 8 of int8; of int16 4, half as many products a cycle, whose sums
// are exact while k |a| |w| stays below 2^31.
template <unsigned K, typename T>
SOTTO_INLINE void GemmCodes(const T* a, const int8_t* w, int32_t* acc, int m,
                            int k, int n, int step) {
  using Mmul = vec::mmul<4, K, 8, T, int8_t>;
  constexpr int kA = 4 * static_cast<int>(K);
  constexpr int kW = 8 * static_cast<int>(K);
  const int n_blocks = n / 8;
  vec::set_saturation(vec::saturation_mode::none);
  for (int i = 0; i < m / 4; i += 2) {
    for (int j = 0; j < n_blocks; j += 4) {
      int32_t* c0 = acc + (i * n_blocks + j) * 32;
      int32_t* c1 = c0 + n_blocks * 32;
      const vec::vector<int32_t, 32> zero = vec::zeros<int32_t, 32>();
      Mmul c[2][4];
      for (int b = 0; b < 4; ++b) {
        c[0][b] = Mmul(step == 0 ? zero : vec::load_v<32>(c0 + b * 32));
        c[1][b] = Mmul(step == 0 ? zero : vec::load_v<32>(c1 + b * 32));
      }
      const T* a0 = a + i * k * 4;
      const T* a1 = a0 + k * 4;
      const int8_t* w0 = w + j * k * 8;
      const int last = k / static_cast<int>(K) - 1;
      for (int l = 0; l < last; ++l) {
        const auto x0 = vec::load_v<kA>(a0 + l * kA);
        const auto x1 = vec::load_v<kA>(a1 + l * kA);
        for (int b = 0; b < 4; ++b) {
          const auto y = vec::load_v<kW>(w0 + b * k * 8 + l * kW);
          c[0][b].mac(x0, y);
          c[1][b].mac(x1, y);
        }
      }
      // The last products by themselves: a block's sums go while the next
      // block's are made.
      const auto x0 = vec::load_v<kA>(a0 + last * kA);
      const auto x1 = vec::load_v<kA>(a1 + last * kA);
      for (int b = 0; b < 4; ++b) {
        const auto y = vec::load_v<kW>(w0 + b * k * 8 + last * kW);
        c[0][b].mac(x0, y);
        c[1][b].mac(x1, y);
        vec::store_v(c0 + b * 32, c[0][b].template to_vector<int32_t>());
        vec::store_v(c1 + b * 32, c[1][b].template to_vector<int32_t>());
      }
    }
  }
}
SOTTO_INLINE void gemm_i8_body(const int8_t* a, const int8_t* w, int32_t* acc,
                               int m, int k, int n, int step) {
  GemmCodes<8>(a, w, acc, m, k, n, step);
}
SOTTO_INLINE void gemm_i16_i8_body(const int16_t* a, const int8_t* w,
                                   int32_t* acc, int m, int k, int n,
                                   int step) {
  GemmCodes<4>(a, w, acc, m, k, n, step);
}

// 2 x 8 blocks of 4x4 sums: sixteen of the eighteen half accumulators, four
// times what covers the four cycles between dependent bf16 multiplies. Wide
// tiles are entered less often.
SOTTO_INLINE void gemm_bf16_body(const bf16* a, const bf16* w, float* acc,
                                 int m, int k, int n, int step) {
  using Mmul = vec::mmul<4, 8, 4, bf16, bf16>;
  const int k_blocks = k / 8;
  const int n_blocks = n / 4;
  for (int i = 0; i < m / 4; i += 2) {
    for (int j = 0; j < n_blocks; j += 8) {
      float* c0 = acc + (i * n_blocks + j) * 16;
      float* c1 = c0 + n_blocks * 16;
      Mmul c[2][8];
      for (int b = 0; b < 8; ++b) {
        const Floats zero = Float16(0.0F);
        c[0][b] = Mmul(step == 0 ? zero : vec::load_v<16>(c0 + b * 16));
        c[1][b] = Mmul(step == 0 ? zero : vec::load_v<16>(c1 + b * 16));
      }
      const bf16* a0 = a + i * k_blocks * 32;
      const bf16* a1 = a0 + k_blocks * 32;
      const bf16* w0 = w + j * k_blocks * 32;
      const int last = k_blocks - 1;
      for (int l = 0; l < last; ++l) {
        const auto x0 = vec::load_v<32>(a0 + l * 32);
        const auto x1 = vec::load_v<32>(a1 + l * 32);
        for (int b = 0; b < 8; ++b) {
          const auto y = vec::load_v<32>(w0 + (b * k_blocks + l) * 32);
          c[0][b].mac(x0, y);
          c[1][b].mac(x1, y);
        }
      }
      // As with int8.
      const auto x0 = vec::load_v<32>(a0 + last * 32);
      const auto x1 = vec::load_v<32>(a1 + last * 32);
      for (int b = 0; b < 8; ++b) {
        const auto y = vec::load_v<32>(w0 + (b * k_blocks + last) * 32);
        c[0][b].mac(x0, y);
        c[1][b].mac(x1, y);
        vec::store_v(c0 + b * 16, c[0][b].to_vector<float>());
        vec::store_v(c1 + b * 16, c[1][b].to_vector<float>());
      }
    }
  }
}

// --- epilogues of int32 sums ------------------------------------------------
//
// In fixed point (device.h, FinishColumn), a block of 4x8 at a time: one
// multiply is 32 results, an int16 product in 32 bits, and its way back to
// int16 or int8 (shift, round, saturate) is an instruction of another slot, or
// part of the store. Floats would take six multiplies for 16.

// Eight channels' constants over the rows of a block.
SOTTO_INLINE Shorts FourRows(const int16_t* p) {
  return vec::load_v<8>(p).grow_replicate<32>();
}

// A block of 4x8 as two of 4x4.
SOTTO_INLINE void StoreWide(int16_t* out, const Shorts& codes) {
  const auto [left, right] =
      vec::interleave_unzip<4>(codes.extract<16>(0), codes.extract<16>(1));
  vec::store_v(out, left);
  vec::store_v(out + 16, right);
}

SOTTO_INLINE void NarrowColumn(const FinishColumn& c, const int32_t* acc,
                               int8_t* out, int m, int stride) {
  const ShortSums bias(vec::load_v<8>(c.bias).grow_replicate<32>());
  const Shorts factor = FourRows(c.factor);
  for (int i = 0; i < m / 4; ++i) {
    const ShortSums sums(vec::load_v<32>(acc + i * stride));
    const Shorts v = sums.to_vector<int16_t>(c.sums);
    vec::store_v(out + i * stride,
                 vec::mac(bias, v, factor).to_vector<int8_t>(c.out));
  }
}

// GELU of eight blocks at a time: a chain of eight multiplies, each waiting for
// the one before, is hidden by seven others. x in two steps takes the place of
// the sums first: more values would not fit the registers. Where codes are
// neither int8 nor int16, GELU's steps come back as sums.
SOTTO_INLINE void GeluColumn(const FinishColumn& c, int32_t* acc, void* out,
                             int mode, int m, int stride) {
  const ShortSums bias(vec::load_v<8>(c.bias).grow_replicate<32>());
  const Shorts factor = FourRows(c.factor);
  for (int i = 0; i < m / 4; ++i) {
    int32_t* p = acc + i * stride;
    const ShortSums sums(vec::load_v<32>(p));
    const ShortSums x = vec::mac(bias, sums.to_vector<int16_t>(c.sums), factor);
    auto* both = reinterpret_cast<int16_t*>(p);
    vec::store_v(both, x.to_vector<int16_t>(c.x));
    vec::store_v(both + 32, x.to_vector<int16_t>(c.tail_in));
  }
  const ShortSums zero(FourRows(c.zero), c.out);
  const Shorts step = FourRows(c.step);
  constexpr int kTogether = 8;
  for (int i = 0; i < m / 4; i += kTogether) {
    // Past the end the last block is made again.
    const auto at = [&](int b) {
      return (i + b < m / 4 ? i + b : m / 4 - 1) * stride;
    };
    Shorts h[kTogether];
    for (int b = 0; b < kTogether; ++b) {
      const auto* both = reinterpret_cast<const int16_t*>(acc + at(b));
      const Shorts tail = NegativeTail(vec::load_v<32>(both + 32))
                              .to_vector<int16_t>(c.tail_out);
      h[b] = vec::add(vec::max(vec::load_v<32>(both), Short32(0)), tail);
    }
    for (int b = 0; b < kTogether; ++b) {
      if ((mode & kFinishInt8) != 0) {
        vec::store_v(static_cast<int8_t*>(out) + at(b),
                     vec::mac(zero, h[b], step).to_vector<int8_t>(c.out));
      } else if ((mode & kFinishInt16) != 0) {
        const Shorts codes =
            vec::mac(zero, h[b], step).to_vector<int16_t>(c.out);
        StoreWide(static_cast<int16_t*>(out) + at(b),
                  vec::max(vec::min(codes, Short32(kWideCodes)),
                           Short32(-kWideCodes - 1)));
      } else {
        vec::store_v(acc + at(b), ShortSums(h[b]).to_vector<int32_t>());
      }
    }
  }
}

// To bf16, plus the residual or not, 16 at a time. int32 by int16 in 64 bits:
// the range of what int8 does not limit is only known at its worst.
SOTTO_INLINE void WidenColumn(const vec::vector<int32_t, 8>& bias,
                              const int16_t* factor, int shift, int point,
                              const int32_t* acc, const bf16* residual,
                              bf16* out, int m, int stride) {
  // 1.5 2^23 steps 2^-point.
  const int32_t bits = ((150 - point) << 23) + (1 << 22);
  const Floats zero = Float16(FloatOfBits(bits));
  const Words steps =
      vec::add(bias.grow_replicate<16>(), vec::broadcast<int32_t, 16>(bits));
  const vec::accum<vec::acc64, 16> start(steps, shift);
  const auto factors = vec::load_v<8>(factor).grow_replicate<16>();
  for (int i = 0; i < m / 4; ++i) {
    for (int half = 0; half < 2; ++half) {
      const int at = i * stride + half * 16;
      const Words value = vec::mac(start, vec::load_v<16>(acc + at), factors)
                              .to_vector<int32_t>(shift);
      Sums sum(vec::sub(value.cast_to<float>(), zero));
      if (residual != nullptr)
        sum = vec::mac(sum, vec::load_v<16>(residual + at), Half16(1.0F));
      vec::store_v(out + at, sum.to_vector<bf16>());
    }
  }
}

SOTTO_INLINE void finish_i8_body(int32_t* sums, const FinishColumn* params,
                                 const bf16* residual, bf16* out, int m, int n,
                                 int mode) {
  SetProductionModes();
  const bool gelu = (mode & kFinishGelu) != 0;
  const bool narrow = (mode & (kFinishInt8 | kFinishInt16)) != 0;
  for (int j = 0; j < n / 8; ++j) {
    const FinishColumn& c = params[j];
    int32_t* acc = sums + j * 32;
    int8_t* codes = reinterpret_cast<int8_t*>(out) + j * 32;
    if (gelu)
      GeluColumn(
          c, acc,
          (mode & kFinishInt16) != 0 ? static_cast<void*>(out + j * 32) : codes,
          mode, m, 4 * n);
    if (narrow && !gelu) NarrowColumn(c, acc, codes, m, 4 * n);
    if (narrow) continue;
    WidenColumn(gelu ? vec::zeros<int32_t, 8>() : vec::load_v<8>(c.bias),
                gelu ? c.step : c.factor, gelu ? 0 : c.out, c.point, acc,
                (mode & kFinishResidual) != 0 ? residual + j * 32 : nullptr,
                out + j * 32, m, 4 * n);
  }
}

// --- epilogue of f32 sums ---------------------------------------------------
//
// biases: f32 [n]. A block of 4x8 outputs is two vectors of two rows, zipped
// from two 4x4 blocks side by side.

SOTTO_INLINE void finish_bf16_body(const float* acc, const float* biases,
                                   const bf16* residual, bf16* out, int m,
                                   int n, int mode) {
  SetProductionModes();
  for (int j = 0; j < n / 8; ++j) {
    const Floats bias = TwoRows(biases + j * 8);
    for (int i = 0; i < m / 4; ++i) {
      const float* p = acc + (i * (n / 4) + 2 * j) * 16;
      const auto [low, high] =
          vec::interleave_zip<4>(vec::load_v<16>(p), vec::load_v<16>(p + 16));
      const int at = (i * (n / 8) + j) * 32;
      Floats v[2] = {vec::add(low, bias), vec::add(high, bias)};
      for (int half = 0; half < 2; ++half) {
        if ((mode & kFinishGelu) != 0) v[half] = Gelu(v[half]);
        if ((mode & kFinishResidual) != 0)
          v[half] = vec::add(
              v[half], ToFloats(vec::load_v<16>(residual + at + half * 16)));
        vec::store_v(out + at + half * 16, ToHalves(v[half]));
      }
    }
  }
}

// 64x64x64 in one call: bf16 in and out, no bias. scratch: the f32 sums.
SOTTO_INLINE void matmul_bf16_64_body(const bf16* a, const bf16* b, bf16* c,
                                      float* scratch) {
  gemm_bf16_body(a, b, scratch, 64, 64, 64, 0);
  SetProductionModes();
  for (int i = 0; i < 128; ++i) {
    const float* p = scratch + i * 32;
    const auto [low, high] =
        vec::interleave_zip<4>(vec::load_v<16>(p), vec::load_v<16>(p + 16));
    vec::store_v(c + i * 32, vec::concat(ToHalves(low), ToHalves(high)));
  }
}

}  // namespace
}  // namespace sotto::npu

using namespace sotto::npu;  // NOLINT: the symbols below are the device's

SOTTO_KERNEL(gemm_i8,
             (const int8_t* a, const int8_t* w, int32_t* acc, int32_t m,
              int32_t k, int32_t n, int32_t step),
             (a, w, acc, m, k, n, step))
SOTTO_KERNEL(gemm_i16_i8,
             (const int16_t* a, const int8_t* w, int32_t* acc, int32_t m,
              int32_t k, int32_t n, int32_t step),
             (a, w, acc, m, k, n, step))
SOTTO_KERNEL(gemm_bf16,
             (const vec::bf16* a, const vec::bf16* w, float* acc, int32_t m,
              int32_t k, int32_t n, int32_t step),
             (a, w, acc, m, k, n, step))
SOTTO_KERNEL(finish_i8,
             (int32_t * acc, const FinishColumn* params,
              const vec::bf16* residual, vec::bf16* out, int32_t m, int32_t n,
              int32_t mode),
             (acc, params, residual, out, m, n, mode))
SOTTO_KERNEL(finish_bf16,
             (const float* acc, const float* biases, const vec::bf16* residual,
              vec::bf16* out, int32_t m, int32_t n, int32_t mode),
             (acc, biases, residual, out, m, n, mode))
SOTTO_KERNEL(matmul_bf16_64,
             (const vec::bf16* a, const vec::bf16* b, vec::bf16* c,
              float* scratch),
             (a, b, c, scratch))
