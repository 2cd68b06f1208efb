// SPDX-License-Identifier: MIT
// The published bf16 kernels: scalar, f32 inside (soft-float on the core), each
// result floored to bf16. Faults included: the exponential is off by up to
// 9.4 %, exponents wrap 88 below the maximum, the rational tanh is not clamped.
#include <bit>

#include "npu/kernels/device.h"
#include "npu/kernels/vec.h"

namespace sotto::npu {
namespace {

using vec::bf16;
using vec::ToBf16;
using vec::ToFloat;

// Two powers of e^(ln 2 f) on an exponent made of bits.
float RoughExp(float x) {
  const float y = x * 1.442695040888963F;
  const int32_t whole = static_cast<int32_t>(y);  // toward zero
  const float f = y - static_cast<float>(whole);
  const uint32_t bits = static_cast<uint32_t>(whole + 127) << 23;
  return std::bit_cast<float>(bits) *
         (1.0F + 0.6931471805599453F * f + 0.2401598148889220F * f * f);
}

void Softmax(const bf16* in, bf16* out, int n) {
  float best = ToFloat(in[0]);
  for (int i = 1; i < n; ++i) {
    const float x = ToFloat(in[i]);
    if (x > best) best = x;
  }
  float sum = 0.0F;
  for (int i = 0; i < n; ++i) {
    const float e = RoughExp(ToFloat(in[i]) - best);
    out[i] = ToBf16(e);
    sum += e;
  }
  sum += 1e-7F;
  const float inverse = 1.0F / sum;
  for (int i = 0; i < n; ++i) out[i] = ToBf16(ToFloat(out[i]) * inverse);
}

float RoughRoot(float x, int steps) {
  float y = std::bit_cast<float>(0x5F3759DF - (std::bit_cast<int32_t>(x) >> 1));
  for (int i = 0; i < steps; ++i) y = y * (1.5F - 0.5F * x * y * y);
  return y;
}

struct Moments {
  float mean, variance;
};
Moments MomentsOf(const bf16* x, int n) {
  float sum = 0.0F;
  for (int i = 0; i < n; ++i) sum += ToFloat(x[i]);
  const float mean = sum / static_cast<float>(n);
  float squares = 0.0F;
  for (int i = 0; i < n; ++i) {
    const float d = ToFloat(x[i]) - mean;
    squares += d * d;
  }
  return {mean, squares / static_cast<float>(n)};
}

void LayerNorm(const bf16* in, bf16* out, int n, int steps, float epsilon) {
  const Moments m = MomentsOf(in, n);
  const float inverse = RoughRoot(m.variance + epsilon, steps);
  for (int i = 0; i < n; ++i) {
    out[i] = ToBf16((ToFloat(in[i]) - m.mean) * inverse);
  }
}

float RationalTanh(float u) {
  const float square = u * u;
  return u * (27.0F + square) / (27.0F + 9.0F * square);
}

void MatmulRow(const bf16* a, const bf16* b, bf16* c) {
  for (int j = 0; j < 64; ++j) {
    float sum = 0.0F;
    for (int k = 0; k < 64; ++k) sum += ToFloat(a[k]) * ToFloat(b[k * 64 + j]);
    c[j] = ToBf16(sum);
  }
}

}  // namespace
}  // namespace sotto::npu

using namespace sotto::npu;  // NOLINT: the symbols below are the device's

extern "C" {

void softmax_bf16_1024(const vec::bf16* in, vec::bf16* out) {
  vec::set_rounding(vec::rounding_mode::floor);
  Softmax(in, out, 1024);
}
void softmax_bf16_4x1024(const vec::bf16* in, vec::bf16* out) {
  vec::set_rounding(vec::rounding_mode::floor);
  for (int i = 0; i < 4; ++i) Softmax(in + i * 1024, out + i * 1024, 1024);
}

void layer_norm_bf16_1024(const vec::bf16* in, vec::bf16* out) {
  vec::set_rounding(vec::rounding_mode::floor);
  LayerNorm(in, out, 1024, 1, 1e-5F);
}
// Two steps of Newton and an epsilon of bf16.
void layer_norm_bf16_512_nosqrt(const vec::bf16* in, vec::bf16* out) {
  vec::set_rounding(vec::rounding_mode::floor);
  LayerNorm(in, out, 512, 2, ToFloat(ToBf16(1e-5F)));
}

void gelu_bf16_1024(const vec::bf16* in, vec::bf16* out) {
  vec::set_rounding(vec::rounding_mode::floor);
  for (int i = 0; i < 1024; ++i) {
    const float x = ToFloat(in[i]);
    const float u = 0.7978845608028654F * (x + 0.044715F * x * x * x);
    out[i] = ToBf16(0.5F * x * (1.0F + RationalTanh(u)));
  }
}

// Row-major 64x64; a sum in the order of k, floored.
void matmul_bf16_64x64_scalar(const vec::bf16* a, const vec::bf16* b,
                              vec::bf16* c) {
  vec::set_rounding(vec::rounding_mode::floor);
  for (int i = 0; i < 64; ++i) MatmulRow(a + i * 64, b, c + i * 64);
}
// The same sums, 4 rows of 16 lanes at a time.
void matmul_bf16_64x64_vector(const vec::bf16* a, const vec::bf16* b,
                              vec::bf16* c) {
  using Sums = vec::accum<vec::accfloat, 16>;
  vec::set_rounding(vec::rounding_mode::floor);
  for (int i = 0; i < 64; i += 4) {
    for (int j = 0; j < 64; j += 16) {
      Sums sums[4];
      for (Sums& sum : sums) sum = Sums(vec::zeros<float, 16>());
      for (int k = 0; k < 64; ++k) {
        const auto row = vec::load_v<16>(b + k * 64 + j);
        for (int r = 0; r < 4; ++r) {
          sums[r] = vec::mac(
              sums[r], vec::broadcast<vec::bf16, 16>(a[(i + r) * 64 + k]), row);
        }
      }
      for (int r = 0; r < 4; ++r) {
        vec::store_v(c + (i + r) * 64 + j, sums[r].to_vector<vec::bf16>());
      }
    }
  }
}

}  // extern "C"
