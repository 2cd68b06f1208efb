// SPDX-License-Identifier: MIT
// The kernels' symbols, the same on the core and on the host. What each takes
// is said in kernels.def and, in words, in docs/npu-kernels.md.
//
// Buffers start on 32 bytes. Blocked layouts, which the DMA makes of row-major
// ones, are written [m/4][k/8][4][8]: outer blocks first, row-major inside.
#pragma once

#include <cstdint>

#include "npu/kernels/vec.h"

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

// plain.cc
void passthrough_u8(const uint8_t* in, uint8_t* out, int32_t bytes);
void add_i8(const int8_t* a, const int8_t* b, int8_t* out, int32_t n);

}  // extern "C"
