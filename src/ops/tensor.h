// SPDX-License-Identifier: MIT
// The element types and tensors of operators (sotto/ops.h) by name and size.
// Apart from tensor/dtype.h: programs of operators know i64 and bool, which
// graphs never see.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "sotto/ops.h"

namespace sotto {

struct OpDTypeInfo {
  std::string_view name;
  size_t bytes = 0;
};

// Empty name where `dtype` is none of sotto_op_dtype.
OpDTypeInfo OpInfo(int32_t dtype);
std::optional<sotto_op_dtype> OpDTypeOf(std::string_view name);
// "f32|f16|...", for messages.
std::string OpDTypeNames();

// A dense tensor; `sizes` has at most SOTTO_OPS_MAX_RANK entries.
sotto_op_tensor DenseOpTensor(void* data, sotto_op_dtype dtype,
                              std::span<const int64_t> sizes);
// The bytes of a dense tensor of these sizes; empty where they pass 2^56.
std::optional<uint64_t> DenseOpBytes(sotto_op_dtype dtype,
                                     std::span<const int64_t> sizes);
// "f32[1,12,1500,64]"
std::string OpTypeString(int32_t dtype, std::span<const int64_t> sizes);
std::string OpTypeString(const sotto_op_tensor& tensor);
// Writes `value`, which the dtype has, as element `index` of dense memory.
void StoreOpNumber(sotto_op_dtype dtype, std::byte* to, size_t index,
                   double value);
// Same dtype and sizes.
bool SameOpType(const sotto_op_tensor& a, const sotto_op_tensor& b);

}  // namespace sotto
