// SPDX-License-Identifier: MIT
// Matrix product on the 4x4 array, output stationary: N split over columns, M
// over core rows; weights go to the four cores of a column, activations to the
// four cores of a row; sums stay in L1 until K is through.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "npu/design/design.h"

namespace sotto::npu {

// C[M][N] = epilogue(A[M][K] W[K][N]), C in bf16. M and N are multiples of
// 4 m and 4 n, K of k; m of 8, n of 32, k of 8.
struct GemmShape {
  int64_t m_all = 256;
  int64_t k_all = 256;
  int64_t n_all = 256;
  bool int8 = true;  // A and W int8 with multipliers and biases; else bf16
  bool gelu = false;
  // One core's tile.
  int64_t m = 64;
  int64_t k = 64;
  int64_t n = 64;
  int64_t item_bytes() const { return int8 ? 1 : 2; }
};

// The streams of a product through column `column`: "w_in c" from its shim, "w
// c" from its mem tile to its four cores, "c c_r" from each of them, joined in
// the mem tile to "out c".
struct ProductStreams {
  int64_t weight_bytes = 0;  // of an element
  int weight_depth = 2;      // in the mem tile
  int64_t result_bytes = 0;  // of a core
};
void ConnectColumn(Design* design, int column, const ProductStreams& streams);
// The four cores of core row `row`, as the ends of a stream to all of them.
std::vector<FifoEnd> CoreRow(int row, int depth = 2);

// Host buffers "a" (activations), "w" (as PackWeights gives it), "c".
Design MakeGemm(std::string_view name, const GemmShape& shape);

// ---- layouts that the kernels read (npu/kernels/gemm.cc) ----

// Row-major [rows][columns] of 1- or 2-byte items to [rows/4][columns/8][4][8]
// and back.
std::vector<std::byte> PackActivations(std::span<const std::byte> rows_major,
                                       int64_t rows, int64_t columns,
                                       int64_t item_bytes);
std::vector<std::byte> UnpackActivations(std::span<const std::byte> packed,
                                         int64_t rows, int64_t columns,
                                         int64_t item_bytes);

// W row-major [K][N] in the order in which it streams: for each column of the
// array, for each of its n-blocks: the k-tiles, then one more tile that starts
// with the epilogue's parameters: FinishColumn [n/8] (npu/kernels/device.h) for
// int8, biases f32 [n] for bf16. `multipliers`, above 0, is empty for bf16.
std::vector<std::byte> PackWeights(std::span<const std::byte> w,
                                   std::span<const float> multipliers,
                                   std::span<const float> biases,
                                   const GemmShape& shape);
// One k x n tile of W from row `k0`, column `n0`, as [n/8][k/8][8][8] (int8) or
// [n/4][k/8][8][4] (bf16), appended to `out`.
void AppendWeightTile(std::span<const std::byte> w, int64_t n_all, int64_t k0,
                      int64_t n0, int64_t k, int64_t n, bool int8,
                      std::vector<std::byte>* out);

}  // namespace sotto::npu
