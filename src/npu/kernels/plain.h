// SPDX-License-Identifier: MIT
// Symbols of plain.cc: moving, and the small kernels of mlir-aie's nightly
// benchmark. n a multiple of 32; floats travel as their bits.
#pragma once

#include <cstdint>

#include "npu/kernels/vec.h"

extern "C" {

// bytes: a multiple of 64.
void passthrough_u8(const uint8_t* in, uint8_t* out, int32_t bytes);
void keep_u8(const uint8_t* in, uint8_t* first, uint8_t* second, int32_t bytes,
             int32_t step, int32_t own, int32_t next);
void zero_u8(uint8_t* out, int32_t bytes);
// Saturated sums.
void add_i8(const int8_t* a, const int8_t* b, int8_t* out, int32_t n);
void exp_bf16(const sotto::npu::vec::bf16* in, sotto::npu::vec::bf16* out,
              int32_t n);
void tanh_bf16(const sotto::npu::vec::bf16* in, sotto::npu::vec::bf16* out,
               int32_t n);
void sigmoid_bf16(const sotto::npu::vec::bf16* in, sotto::npu::vec::bf16* out,
                  int32_t n);
void silu_bf16(const sotto::npu::vec::bf16* in, sotto::npu::vec::bf16* out,
               int32_t n);
void relu_bf16(const sotto::npu::vec::bf16* in, sotto::npu::vec::bf16* out,
               int32_t n);
// out = a x + y.
void axpy_bf16(const sotto::npu::vec::bf16* x, const sotto::npu::vec::bf16* y,
               sotto::npu::vec::bf16* out, int32_t n, int32_t a_bits);
void narrow_f32_bf16(const float* in, sotto::npu::vec::bf16* out, int32_t n);
// rows x cols to cols x rows; both multiples of 8.
void transpose_bf16(const sotto::npu::vec::bf16* in, sotto::npu::vec::bf16* out,
                    int32_t rows, int32_t cols);
// Sums of 4x4x4 blocks: a [m/4][k/4][4][4], w [n/4][k/4][4][4], acc
// [m/4][n/4][4][4]; m and n multiples of 8, k of 4. step as in gemm_i8.
void gemm_i16(const int16_t* a, const int16_t* w, int32_t* acc, int32_t m,
              int32_t k, int32_t n, int32_t step);
// y [m] = a [m][k] x, f32; k a multiple of 16.
void mv_bf16(const sotto::npu::vec::bf16* a, const sotto::npu::vec::bf16* x,
             float* y, int32_t m, int32_t k);
// out[0] = the largest; n a multiple of 16.
void max_i32(const int32_t* in, int32_t* out, int32_t n);

}  // extern "C"
