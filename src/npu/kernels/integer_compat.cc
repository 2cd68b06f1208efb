// SPDX-License-Identifier: MIT
// The published int8 GELU, LayerNorm and matmul kernels, bit for bit.
#include "npu/kernels/device.h"
#include "npu/kernels/stack.h"
#include "npu/kernels/vec.h"

namespace sotto::npu {
namespace {

// clip(round(127 g(x / 127))) for x from -128, g the tanh form of GELU.
alignas(32) constexpr int8_t kGelu[256] = {
    -20, -20, -20, -20, -20, -20, -21, -21, -21, -21, -21, -21, -21, -21, -21,
    -21, -21, -21, -21, -21, -21, -21, -21, -21, -21, -22, -22, -22, -22, -22,
    -22, -22, -22, -22, -22, -22, -22, -22, -22, -22, -21, -21, -21, -21, -21,
    -21, -21, -21, -21, -21, -21, -21, -21, -21, -21, -21, -21, -20, -20, -20,
    -20, -20, -20, -20, -20, -20, -19, -19, -19, -19, -19, -19, -18, -18, -18,
    -18, -18, -18, -17, -17, -17, -17, -16, -16, -16, -16, -16, -15, -15, -15,
    -15, -14, -14, -14, -13, -13, -13, -13, -12, -12, -12, -11, -11, -11, -10,
    -10, -9,  -9,  -9,  -8,  -8,  -8,  -7,  -7,  -6,  -6,  -6,  -5,  -5,  -4,
    -4,  -3,  -3,  -2,  -2,  -1,  -1,  0,   0,   1,   1,   2,   2,   3,   3,
    4,   4,   5,   5,   6,   6,   7,   8,   8,   9,   9,   10,  11,  11,  12,
    13,  13,  14,  14,  15,  16,  16,  17,  18,  18,  19,  20,  21,  21,  22,
    23,  23,  24,  25,  26,  26,  27,  28,  29,  30,  30,  31,  32,  33,  33,
    34,  35,  36,  37,  38,  38,  39,  40,  41,  42,  43,  43,  44,  45,  46,
    47,  48,  49,  50,  51,  51,  52,  53,  54,  55,  56,  57,  58,  59,  60,
    61,  62,  63,  64,  65,  66,  67,  67,  68,  69,  70,  71,  72,  73,  74,
    75,  76,  77,  78,  79,  80,  81,  83,  84,  85,  86,  87,  88,  89,  90,
    91,  92,  93,  94,  95,  96,  97,  98,  99,  100, 101, 103, 104, 105, 106,
    107,
};

constexpr int32_t Clamp8(int32_t x) {
  return x < -128 ? -128 : x > 127 ? 127 : x;
}

void Gelu(const int8_t* in, int8_t* out, int n) {
  for (int i = 0; i < n; ++i) out[i] = kGelu[in[i] + 128];
}

// floor(sqrt(n)) by Newton's steps from above; no libm on the core.
uint32_t FloorSqrt(uint32_t n) {
  if (n < 2) return n;
  uint32_t x = n;
  uint32_t next = (x + 1) / 2;
  while (next < x) {
    x = next;
    next = (x + n / x) / 2;
  }
  return x;
}

// y = ((x - mean) * 2^15 / sigma >> 8) scaled by gamma / 128, plus beta: 128 a
// standard deviation, so a gamma of 127 saturates beyond one.
void LayerNorm(const int8_t* x, const int8_t* gamma, const int8_t* beta,
               int8_t* out, int n) {
  int32_t sum = 0;
  for (int i = 0; i < n; ++i) sum += x[i];
  const int32_t mean = sum / n;
  int32_t squares = 0;
  for (int i = 0; i < n; ++i) squares += (x[i] - mean) * (x[i] - mean);
  const uint32_t variance = static_cast<uint32_t>(squares / n);
  const uint32_t sigma = FloorSqrt(variance + 1);
  const int32_t inverse =
      sigma == 0 ? 128 : 32768 / static_cast<int32_t>(sigma);
  for (int i = 0; i < n; ++i) {
    const int32_t normed = ((x[i] - mean) * inverse) >> 8;
    out[i] = static_cast<int8_t>(Clamp8(((gamma[i] * normed) >> 7) + beta[i]));
  }
}

// The published kernels hold a 32-bit accumulator and, unoptimised, spills on
// the stack: 1184 bytes at 16x16, 4224 at 32x32 (ELF prologues), where zeroing
// the accumulator wipes whatever lies behind a 1 KB stack.
template <int kN>
struct MatmulLocals {
  std::byte low_spill[64];
  int32_t sums[kN * kN];
  std::byte high_spill[kN == 16 ? 96 : 64];
};
static_assert(sizeof(MatmulLocals<16>) == 1184);
static_assert(sizeof(MatmulLocals<32>) == 4224);

void MatmulSums(const int8_t* a, const int8_t* b, int32_t* c, int m, int k,
                int n) {
  for (int i = 0; i < m * n; ++i) c[i] = 0;
  for (int i = 0; i < m; ++i) {
    for (int l = 0; l < k; ++l) {
      for (int j = 0; j < n; ++j) c[i * n + j] += a[i * k + l] * b[l * n + j];
    }
  }
}

void Requantize(const int32_t* in, int8_t* out, int n, int shift) {
  for (int i = 0; i < n; ++i) {
    out[i] = static_cast<int8_t>(Clamp8(in[i] >> shift));
  }
}

// A row at a time: what the published 32x32 and 64x64 should have done, for
// their accumulators did not fit any stack.
template <int kN>
void MatmulPacked(const int8_t* ab, int8_t* c) {
  int32_t sums[kN];
  for (int i = 0; i < kN; ++i) {
    MatmulSums(ab + i * kN, ab + kN * kN, sums, 1, kN, kN);
    Requantize(sums, c + i * kN, kN, 7);
  }
}

}  // namespace
}  // namespace sotto::npu

using namespace sotto::npu;  // NOLINT: the symbols below are the device's

extern "C" {

void gelu_i8(const int8_t* in, int8_t* out, int32_t n) { Gelu(in, out, n); }
void gelu_i8_512(const int8_t* in, int8_t* out) { Gelu(in, out, 512); }
void gelu_i8_2048(const int8_t* in, int8_t* out) { Gelu(in, out, 2048); }

// GELU of sat8(in + bias).
void gelu_bias_i8(const int8_t* in, const int8_t* bias, int8_t* out,
                  int32_t n) {
  for (int i = 0; i < n; ++i) out[i] = kGelu[Clamp8(in[i] + bias[i]) + 128];
}

void layer_norm_i8_256(const int8_t* x_gamma_beta, int8_t* out) {
  LayerNorm(x_gamma_beta, x_gamma_beta + 256, x_gamma_beta + 512, out, 256);
}

void matmul_i8_16(const int8_t* ab, int8_t* c) { MatmulPacked<16>(ab, c); }
void matmul_i8_32(const int8_t* ab, int8_t* c) { MatmulPacked<32>(ab, c); }
void matmul_i8_64(const int8_t* ab, int8_t* c) { MatmulPacked<64>(ab, c); }

// As published. Row i of 16 is cleared just before its sums, so an overrun hits
// rows of A that are done with; 32 clears everything first.
void matmul_i8_16_compat(const int8_t* ab, int8_t* c) {
  Frame<MatmulLocals<16>> at;
  for (int i = 0; i < 16; ++i) {
    MatmulSums(ab + i * 16, ab + 256, at->sums + i * 16, 1, 16, 16);
  }
  Requantize(at->sums, c, 256, 7);
}
void matmul_i8_32_compat(const int8_t* ab, int8_t* c) {
  Frame<MatmulLocals<32>> at;
  MatmulSums(ab, ab + 1024, at->sums, 32, 32, 32);
  Requantize(at->sums, c, 1024, 7);
}

void matmul_i8_i32(const int8_t* a, const int8_t* b, int32_t* c, int32_t m,
                   int32_t k, int32_t n) {
  MatmulSums(a, b, c, m, k, n);
}
void requantize_shift_i8(const int32_t* in, int8_t* out, int32_t n,
                         int32_t shift) {
  Requantize(in, out, n, shift);
}

}  // extern "C"
