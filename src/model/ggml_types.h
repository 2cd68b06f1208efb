// SPDX-License-Identifier: MIT
// Codes that ggml .bin and GGUF files share. Source: ggml.h, enums ggml_type
// and ggml_ftype.
#pragma once

#include <cstdint>
#include <optional>

#include "tensor/dtype.h"

namespace sotto {

struct GgmlTypeRow {
  DType dtype;
  uint32_t type;   // of one tensor
  uint32_t ftype;  // of a .bin whose matrices have mostly this type
  uint32_t llama;  // of a GGUF alike (llama.h, enum llama_ftype)
};

inline constexpr GgmlTypeRow kGgmlTypes[] = {
    {DType::kF32, 0, 0, 0},     {DType::kF16, 1, 1, 1},
    {DType::kQ4_0, 2, 2, 2},    {DType::kQ4_1, 3, 3, 3},
    {DType::kQ5_0, 6, 8, 8},    {DType::kQ5_1, 7, 9, 9},
    {DType::kQ8_0, 8, 7, 7},    {DType::kQ4_K, 12, 12, 14},
    {DType::kQ5_K, 13, 13, 16}, {DType::kQ6_K, 14, 14, 18},
    {DType::kBF16, 30, 24, 32},
};

// Empty for types that no Whisper file has.
inline std::optional<DType> FromGgmlType(uint32_t type) {
  for (const GgmlTypeRow& row : kGgmlTypes)
    if (row.type == type) return row.dtype;
  return std::nullopt;
}

inline const GgmlTypeRow* GgmlTypeOf(DType dtype) {
  for (const GgmlTypeRow& row : kGgmlTypes)
    if (row.dtype == dtype) return &row;
  return nullptr;
}

}  // namespace sotto
