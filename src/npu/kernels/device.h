// SPDX-License-Identifier: MIT
// The kernels' symbols, the same on the core and on the host. What each takes
// is said in kernels.def and, in words, in docs/npu-kernels.md.
//
// Buffers start on 32 bytes. Blocked layouts, which the DMA makes of row-major
// ones, are written [m/4][k/8][4][8]: outer blocks first, row-major inside.
#pragma once

#include <cstdint>

#include "npu/kernels/vec.h"

using Bf16 = sotto::npu::vec::bf16;

namespace sotto::npu {

// What finish_i8 knows of eight channels; finish_params.h makes it. Steps are
// powers of two, so that shifts change them; zeros make zero of any sum. v is
// the sum 2^-sums, in int16, p is bias + v factor.
//   To int8: p 2^-out is the code.
//   GELU: p is x; p 2^-x, in int16, and p 2^-tail_in, with kTailInBits of
//   fraction, give GELU in the steps of the former. To int8 it is multiplied by
//   step 2^-out and counted from `zero`.
//   To bf16: bias + sum factor 2^-out, rounded, are steps 2^-point. After GELU,
//   whose result stands for the sum, step is the factor.
struct FinishColumn {
  int32_t bias[8];
  int16_t factor[8];
  int16_t step[8];
  int16_t zero[8];
  int8_t sums, x, tail_in, tail_out, out, point;
  int8_t unused[10];
};
static_assert(sizeof(FinishColumn) == 96);

// Bits of finish_i8's and finish_bf16's mode. The latter knows no int8.
inline constexpr int kFinishGelu = 1;
inline constexpr int kFinishResidual = 2;
inline constexpr int kFinishInt8 = 4;
inline constexpr int kFinishInt16 = 8;  // in blocks of 4x4; only after GELU
// The largest code of 12 bits. Those stand in int16; a product of 5,120 of them
// with int8 stays inside int32.
inline constexpr int kWideCodes = 2047;
// GELU is never below minus this (11/64). int8 codes of its results begin that
// far below zero: value v, scale s becomes round(v s) + round(s kGeluDepth) -
// 128, so zero has a code and no code is left unused. A scale of 16 bits of
// mantissa makes the second term the same wherever it is computed.
inline constexpr float kGeluDepth = 0.171875F;

}  // namespace sotto::npu

extern "C" {

// attention_compat.cc
void attention_16x16(const int8_t* qkv, int8_t* out, int32_t shift);
void attention_64x64_v0(const int8_t* qkv, int8_t* out, int32_t shift);
void attention_64x64_v1(const int8_t* qkv, int8_t* out, int32_t shift);
void attention_64x64_v2(const int8_t* qkv, int8_t* out, int32_t shift);
void attention_64x64_v3(const int8_t* qkv, int8_t* out, int32_t shift);
void attention_64x64_whole_v0(const int8_t* qkv, int8_t* out, int32_t shift);
void attention_64x64_whole_v1(const int8_t* qkv, int8_t* out, int32_t shift);
void attention_64x64_whole_v2(const int8_t* qkv, int8_t* out, int32_t shift);
void attention_64x64_whole_v3(const int8_t* qkv, int8_t* out, int32_t shift);
void attention_scores_64x64(const int8_t* q, const int8_t* k, int8_t* scores,
                            int32_t shift);
void attention_2heads_v0(const int8_t* qkv, int8_t* out, int32_t shift);

// integer_compat.cc
void gelu_i8(const int8_t* in, int8_t* out, int32_t n);
void gelu_i8_512(const int8_t* in, int8_t* out);
void gelu_i8_2048(const int8_t* in, int8_t* out);
void gelu_bias_i8(const int8_t* in, const int8_t* bias, int8_t* out, int32_t n);
void layer_norm_i8_256(const int8_t* x_gamma_beta, int8_t* out);
void matmul_i8_16(const int8_t* ab, int8_t* c);
void matmul_i8_32(const int8_t* ab, int8_t* c);
void matmul_i8_64(const int8_t* ab, int8_t* c);
void matmul_i8_16_compat(const int8_t* ab, int8_t* c);
void matmul_i8_32_compat(const int8_t* ab, int8_t* c);
void matmul_i8_i32(const int8_t* a, const int8_t* b, int32_t* c, int32_t m,
                   int32_t k, int32_t n);
void requantize_shift_i8(const int32_t* in, int8_t* out, int32_t n,
                         int32_t shift);

// gemm.cc. `step`: 0 starts the sums at zero, else adds to them.
void gemm_i8(const int8_t* a, const int8_t* w, int32_t* acc, int32_t m,
             int32_t k, int32_t n, int32_t step);
// a: [m/4][k/4][4][4].
void gemm_i16_i8(const int16_t* a, const int8_t* w, int32_t* acc, int32_t m,
                 int32_t k, int32_t n, int32_t step);
void gemm_bf16(const Bf16* a, const Bf16* w, float* acc, int32_t m, int32_t k,
               int32_t n, int32_t step);
// gemm_tile.cc. 64 x 64 of sums; 64 of K, of gemm_tile_i8 128: gemm_* of that
// shape, in less time.
void gemm_tile_i8(const int8_t* a, const int8_t* w, int32_t* acc, int32_t step);
void gemm_tile_i16_i8(const int16_t* a, const int8_t* w, int32_t* acc,
                      int32_t step);
void gemm_tile_bf16(const Bf16* a, const Bf16* w, float* acc, int32_t step);
// gemm.cc. By `mode`: finish_i8's `out` is int8 where it says so, and its sums
// are spent. `residual` may be `out` itself.
void finish_i8(int32_t* acc, const sotto::npu::FinishColumn* params,
               const Bf16* residual, Bf16* out, int32_t m, int32_t n,
               int32_t mode);
void finish_bf16(const float* acc, const float* biases, const Bf16* residual,
                 Bf16* out, int32_t m, int32_t n, int32_t mode);
void matmul_bf16_64(const Bf16* a, const Bf16* b, Bf16* c, float* scratch);

// flash.cc
void flash_scores_bf16(const Bf16* q, const Bf16* k, Bf16* p, float* state,
                       int32_t rows, int32_t keys, int32_t d, int32_t block,
                       int32_t valid);
void flash_scores_i8(const int8_t* q, const int8_t* k, Bf16* p, float* state,
                     int32_t rows, int32_t keys, int32_t d, int32_t block,
                     int32_t valid, int32_t shift, int32_t q_width);
void flash_values(const Bf16* p, const Bf16* v, float* state, int32_t rows,
                  int32_t keys, int32_t d, int32_t block);
// The same of 64 rows, 64 keys and d of 64, in less time.
void flash_tile_scores_bf16(const Bf16* q, const Bf16* k, Bf16* p, float* state,
                            int32_t block, int32_t valid);
void flash_tile_scores_i8(const int8_t* q, const int8_t* k, Bf16* p,
                          float* state, int32_t block, int32_t valid,
                          int32_t shift, int32_t q_width);
void flash_tile_values(const Bf16* p, const Bf16* v, float* state,
                       int32_t block);
void flash_finish_bf16(const float* state, Bf16* out, int32_t rows, int32_t d);
void flash_finish_i16(const float* state, int16_t* out, int32_t rows,
                      int32_t d);

// rows.cc
void layer_norm_bf16(const Bf16* x, const float* params, Bf16* out,
                     int32_t rows, int32_t width);
void layer_norm_i8(const Bf16* x, const float* params, int8_t* out,
                   int32_t rows, int32_t width);
// `inverse`: the bits of 1 / the whole width, a float.
void layer_norm_stats(const Bf16* x, float* stats, int32_t rows, int32_t width,
                      int32_t step, int32_t steps, int32_t inverse);
void layer_norm_apply_bf16(const Bf16* x, const float* stats,
                           const float* params, Bf16* out, int32_t rows,
                           int32_t width);
// Either of both; `out` may be `x`.
void layer_norm_apply(const Bf16* x, const float* stats, const float* params,
                      Bf16* out, int32_t rows, int32_t width, int32_t to_i8);
void layer_norm_apply_i8(const Bf16* x, const float* stats, const float* params,
                         int8_t* out, int32_t rows, int32_t width);
void softmax_bf16(const Bf16* in, Bf16* out, int32_t n);
void gelu_bf16(const Bf16* in, Bf16* out, int32_t n);
void add_bf16(const Bf16* a, const Bf16* b, Bf16* out, int32_t n);
void quantize_bf16_i8(const Bf16* in, int8_t* out, int32_t n,
                      int32_t inverse_bits);
void requantize_i32_i8(const int32_t* in, int8_t* out, int32_t n,
                       int32_t multiplier_bits);
void gelu_scaled_i8(const int8_t* in, int8_t* out, int32_t n,
                    int32_t scale_bits, int32_t inverse_bits);

// bf16_compat.cc
void softmax_bf16_1024(const Bf16* in, Bf16* out);
void softmax_bf16_4x1024(const Bf16* in, Bf16* out);
void layer_norm_bf16_1024(const Bf16* in, Bf16* out);
void layer_norm_bf16_512_nosqrt(const Bf16* in, Bf16* out);
void gelu_bf16_1024(const Bf16* in, Bf16* out);
void matmul_bf16_64x64_scalar(const Bf16* a, const Bf16* b, Bf16* c);
void matmul_bf16_64x64_vector(const Bf16* a, const Bf16* b, Bf16* c);

}  // extern "C"
