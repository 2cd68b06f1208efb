// SPDX-License-Identifier: MIT
#include "ops/tensor.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "tensor/half.h"

namespace sotto {
namespace {

// In the order of sotto_op_dtype.
constexpr std::array<OpDTypeInfo, 10> kDTypes = {{{"f32", 4},
                                                  {"f16", 2},
                                                  {"bf16", 2},
                                                  {"f64", 8},
                                                  {"i8", 1},
                                                  {"u8", 1},
                                                  {"i16", 2},
                                                  {"i32", 4},
                                                  {"i64", 8},
                                                  {"bool", 1}}};

std::span<const int64_t> SizesOf(const sotto_op_tensor& tensor) {
  return {tensor.sizes, static_cast<size_t>(tensor.rank)};
}

template <typename T>
void Store(std::byte* to, size_t index, T value) {
  std::memcpy(to + index * sizeof(T), &value, sizeof(T));
}

}  // namespace

OpDTypeInfo OpInfo(int32_t dtype) {
  if (dtype < 0 || static_cast<size_t>(dtype) >= kDTypes.size()) return {};
  return kDTypes[static_cast<size_t>(dtype)];
}

std::optional<sotto_op_dtype> OpDTypeOf(std::string_view name) {
  for (size_t i = 0; i < kDTypes.size(); ++i)
    if (kDTypes[i].name == name) return static_cast<sotto_op_dtype>(i);
  return std::nullopt;
}

std::string OpDTypeNames() {
  std::string names;
  for (const OpDTypeInfo& info : kDTypes) {
    if (!names.empty()) names += '|';
    names += info.name;
  }
  return names;
}

sotto_op_tensor DenseOpTensor(void* data, sotto_op_dtype dtype,
                              std::span<const int64_t> sizes) {
  sotto_op_tensor tensor{};
  tensor.data = data;
  tensor.dtype = dtype;
  tensor.rank = static_cast<int32_t>(sizes.size());
  int64_t stride = 1;
  for (size_t i = sizes.size(); i-- > 0;) {
    tensor.sizes[i] = sizes[i];
    tensor.strides[i] = stride;
    stride *= std::max<int64_t>(sizes[i], 1);
  }
  return tensor;
}

std::optional<uint64_t> DenseOpBytes(sotto_op_dtype dtype,
                                     std::span<const int64_t> sizes) {
  constexpr uint64_t kMost = uint64_t{1} << 56;
  // A size of 0 hides no other that is too large: strides count them all.
  uint64_t bytes = OpInfo(dtype).bytes;
  bool empty = false;
  for (const int64_t size : sizes) {
    if (size < 0) return std::nullopt;
    empty = empty || size == 0;
    const uint64_t factor = static_cast<uint64_t>(std::max<int64_t>(size, 1));
    if (factor > kMost / bytes) return std::nullopt;
    bytes *= factor;
  }
  return empty ? 0 : bytes;
}

std::string OpTypeString(int32_t dtype, std::span<const int64_t> sizes) {
  const OpDTypeInfo info = OpInfo(dtype);
  std::string text(info.name.empty() ? "?" : info.name);
  text += '[';
  for (size_t i = 0; i < sizes.size(); ++i) {
    if (i > 0) text += ',';
    text += std::to_string(sizes[i]);
  }
  text += ']';
  return text;
}

std::string OpTypeString(const sotto_op_tensor& tensor) {
  return OpTypeString(tensor.dtype, SizesOf(tensor));
}

void StoreOpNumber(sotto_op_dtype dtype, std::byte* to, size_t index,
                   double value) {
  switch (dtype) {
    case SOTTO_OP_F32:
      return Store(to, index, static_cast<float>(value));
    case SOTTO_OP_F16:
      return Store(to, index, ToF16(static_cast<float>(value)).bits);
    case SOTTO_OP_BF16:
      return Store(to, index, ToBF16(static_cast<float>(value)).bits);
    case SOTTO_OP_F64:
      return Store(to, index, value);
    case SOTTO_OP_I8:
      return Store(to, index, static_cast<int8_t>(value));
    case SOTTO_OP_U8:
    case SOTTO_OP_BOOL:
      return Store(to, index, static_cast<uint8_t>(value));
    case SOTTO_OP_I16:
      return Store(to, index, static_cast<int16_t>(value));
    case SOTTO_OP_I32:
      return Store(to, index, static_cast<int32_t>(value));
    case SOTTO_OP_I64:
      return Store(to, index, static_cast<int64_t>(value));
  }
}

bool SameOpType(const sotto_op_tensor& a, const sotto_op_tensor& b) {
  return a.dtype == b.dtype && a.rank == b.rank &&
         std::ranges::equal(SizesOf(a), SizesOf(b));
}

}  // namespace sotto
