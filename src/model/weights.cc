// SPDX-License-Identifier: MIT
#include "model/weights.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "model/dequantise.h"

namespace sotto {
namespace {

const std::byte* Bytes(const Tensor& tensor) {
  return static_cast<const std::byte*>(tensor.data);
}

}  // namespace

const WeightEntry& WeightStore::Get(std::string_view name) const {
  const auto found = entries_.find(name);
  if (found == entries_.end())
    Fail(ErrorCode::kNotFound, "{}: no tensor {}", path_.string(), name);
  return found->second;
}

void WeightStore::Read(std::string_view name, int64_t first, int64_t count,
                       float* out) const {
  const WeightEntry& entry = Get(name);
  const Tensor& tensor = entry.tensor;
  const int64_t block = Info(tensor.dtype).block_elements;
  SOTTO_CHECK(first >= 0 && count >= 0 && count <= tensor.Elements() - first);
  SOTTO_CHECK(first % block == 0 && count % block == 0);
  const size_t skip = BytesOf(tensor.dtype, static_cast<size_t>(first));
  Dequantise(tensor.dtype, Bytes(tensor) + skip, static_cast<size_t>(count),
             out);
  if (entry.row_scales == nullptr) return;
  const int64_t row = tensor.Elements() / tensor.shape[0];
  for (int64_t i = first; i < first + count;) {
    const int64_t end = std::min(first + count, (i / row + 1) * row);
    const float scale = entry.row_scales[i / row];
    for (; i < end; ++i) out[i - first] *= scale;
  }
}

void WeightStore::ReadF16(std::string_view name, int64_t first, int64_t count,
                          F16* out) const {
  const Tensor& tensor = Get(name).tensor;
  if (tensor.dtype == DType::kF16) {
    SOTTO_CHECK(first >= 0 && count >= 0 && count <= tensor.Elements() - first);
    std::memcpy(out, Bytes(tensor) + 2 * first, 2 * static_cast<size_t>(count));
    return;
  }
  // 4096 is a whole number of every block and stays in L1.
  float part[4096];
  for (int64_t i = 0; i < count;) {
    const int64_t n = std::min<int64_t>(count - i, std::ssize(part));
    Read(name, first + i, n, part);
    for (int64_t j = 0; j < n; ++j) out[i + j] = ToF16(part[j]);
    i += n;
  }
}

void WeightStore::Release(std::string_view name) const {
  const Tensor& tensor = Get(name).tensor;
  for (const MappedFile& file : files_) {
    const auto bytes = file.bytes();
    const std::byte* data = Bytes(tensor);
    if (data < bytes.data() || data >= bytes.data() + bytes.size()) continue;
    file.Release(static_cast<size_t>(data - bytes.data()), tensor.Bytes());
    return;
  }
}

size_t WeightStore::bytes() const {
  size_t total = 0;
  for (const auto& [name, entry] : entries_) total += entry.tensor.Bytes();
  return total;
}

}  // namespace sotto
