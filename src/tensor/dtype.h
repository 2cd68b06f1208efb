// SPDX-License-Identifier: MIT
// Element types. Block types exist only as file formats: weights in them are
// read through WeightStore::ReadRows and never reach a graph.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace sotto {

enum class DType : uint8_t {
  kF32, kF16, kBF16, kI8, kI32,
  // ggml block types: block of `BlockElements` values in `BlockBytes` bytes.
  kQ4_0, kQ4_1, kQ5_0, kQ5_1, kQ8_0, kQ4_K, kQ5_K, kQ6_K,
};

struct DTypeInfo {
  std::string_view name;
  uint32_t block_elements;  // 1 for plain types
  uint32_t block_bytes;
};

constexpr DTypeInfo Info(DType type) {
  switch (type) {
    case DType::kF32: return {"f32", 1, 4};
    case DType::kF16: return {"f16", 1, 2};
    case DType::kBF16: return {"bf16", 1, 2};
    case DType::kI8: return {"i8", 1, 1};
    case DType::kI32: return {"i32", 1, 4};
    case DType::kQ4_0: return {"q4_0", 32, 18};
    case DType::kQ4_1: return {"q4_1", 32, 20};
    case DType::kQ5_0: return {"q5_0", 32, 22};
    case DType::kQ5_1: return {"q5_1", 32, 24};
    case DType::kQ8_0: return {"q8_0", 32, 34};
    case DType::kQ4_K: return {"q4_K", 256, 144};
    case DType::kQ5_K: return {"q5_K", 256, 176};
    case DType::kQ6_K: return {"q6_K", 256, 210};
  }
  return {"?", 1, 0};
}

constexpr std::string_view Name(DType type) { return Info(type).name; }
constexpr bool IsBlock(DType type) { return Info(type).block_elements > 1; }
// Bytes of one element; only for plain types.
constexpr size_t SizeOf(DType type) { return Info(type).block_bytes; }
constexpr size_t BytesOf(DType type, size_t elements) {
  return elements / Info(type).block_elements * Info(type).block_bytes;
}

}  // namespace sotto
