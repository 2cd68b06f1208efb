// SPDX-License-Identifier: MIT
// Reading and writing one element of any type: all that the reference kernels
// know of formats.
#pragma once

#include <cstdint>

#include "cpu/kernel.h"
#include "tensor/half.h"

namespace sotto::cpu {

inline float LoadElement(const void* data, DType type, int64_t i) {
  if (type == DType::kF32) return static_cast<const float*>(data)[i];
  if (type == DType::kF16) return ToFloat(static_cast<const F16*>(data)[i]);
  return ToFloat(static_cast<const BF16*>(data)[i]);
}

inline void StoreElement(void* data, DType type, int64_t i, float value) {
  if (type == DType::kF32) {
    static_cast<float*>(data)[i] = value;
  } else if (type == DType::kF16) {
    static_cast<F16*>(data)[i] = ToF16(value);
  } else {
    static_cast<BF16*>(data)[i] = ToBF16(value);
  }
}

inline float LoadRow(const RowsIn& rows, int64_t row, int64_t i) {
  return LoadElement(rows.data, rows.type, row * rows.stride + i);
}
inline void StoreRow(const RowsOut& rows, int64_t row, int64_t i, float value) {
  StoreElement(rows.data, rows.type, row * rows.stride + i, value);
}

// x/2 (1 + erf(x / sqrt 2)) in double.
double GeluExact(double x);

}  // namespace sotto::cpu
