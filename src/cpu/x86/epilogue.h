// SPDX-License-Identifier: MIT
// What follows the sums of a linear layer: bias, GELU, residual, rounding.
// One function for row and tile kernels, so that they agree in every bit.
#pragma once

#include "cpu/kernel.h"
#include "cpu/x86/exp.h"

namespace sotto::cpu::x86 {

// Finishes columns [column, column + 16) of row `row`, as far as they exist.
SOTTO_AVX512_INLINE void FinishLanes(const LinearArgs& args, int64_t row,
                                     int64_t column, __m512 sum) {
  const __mmask16 lanes = FirstLanes(args.n - column);
  if (args.bias != nullptr)
    sum = _mm512_add_ps(sum, LoadRow(args.bias + column, lanes));
  if (args.act == ir::Activation::kGelu) sum = Gelu(sum);
  if (args.residual != nullptr) {
    const int64_t from =
        row < args.residual_rows ? row : row % args.residual_rows;
    sum = _mm512_add_ps(
        sum,
        LoadRow(args.residual + from * args.residual_stride + column, lanes));
  }
  const int64_t at = row * args.y_stride + column;
  if (args.y_type == DType::kBF16) {
    StoreRow(static_cast<BF16*>(args.y) + at, lanes, sum);
  } else {
    StoreRow(static_cast<float*>(args.y) + at, lanes, sum);
  }
}

// Lines of the residual that a block will need, fetched while its sums are
// made: they were written a layer ago and are far away by now.
class ResidualAhead {
 public:
  SOTTO_AVX512_INLINE ResidualAhead(const LinearArgs& args, int64_t row,
                                    int64_t column, int64_t panels) {
    if (args.residual == nullptr) return;
    at_ = static_cast<const char*>(static_cast<const void*>(
        args.residual + row % args.residual_rows * args.residual_stride +
        column));
    stride_ = args.residual_stride * 4;
    bytes_ = panels * kPanel * 4;
  }
  SOTTO_AVX512_INLINE void Fetch(int64_t rows) {
    if (at_ == nullptr) return;
    for (; rows > 0; --rows, at_ += stride_)
      for (int64_t i = 0; i < bytes_; i += 64)
        _mm_prefetch(at_ + i, _MM_HINT_T0);
  }

 private:
  const char* at_ = nullptr;
  int64_t stride_ = 0, bytes_ = 0;
};

// Finishes `rows` x 16 `panels` sums at c.
SOTTO_AVX512_INLINE void FinishBlock(const LinearArgs& args, int64_t row,
                                     int64_t column, int64_t rows,
                                     int64_t panels, const float* c,
                                     int64_t c_stride) {
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t p = 0; p < panels; ++p)
      FinishLanes(args, row + r, column + p * kLanes,
                  _mm512_loadu_ps(c + r * c_stride + p * kLanes));
}

}  // namespace sotto::cpu::x86
