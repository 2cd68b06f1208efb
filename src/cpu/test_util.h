// SPDX-License-Identifier: MIT
// What the tests of this folder share: seeded data, weights in arrays.
#pragma once

#include <cmath>
#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "cpu/ref/access.h"
#include "runtime/weight_reader.h"
#include "tensor/buffer.h"

namespace sotto::cpu {

// Normally distributed values with a few large ones among them.
inline std::vector<float> RandomValues(int64_t count, uint32_t seed,
                                       float scale = 1) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, scale);
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values) value = normal(random);
  return values;
}

// `values` in memory as `type`.
inline Buffer AsType(const std::vector<float>& values, DType type) {
  Buffer buffer(BytesOf(type, values.size()) + 1);
  for (size_t i = 0; i < values.size(); ++i)
    StoreElement(buffer.data(), type, static_cast<int64_t>(i), values[i]);
  return buffer;
}

// Weights that stand in plain arrays.
class ArrayReader final : public WeightReader {
 public:
  void Add(const std::string& name, int64_t count, uint32_t seed,
           float scale = 1) {
    arrays[name] = RandomValues(count, seed, scale);
  }
  void Read(std::string_view name, int64_t first, int64_t count,
            float* out) const override {
    const std::vector<float>& values = arrays.at(std::string(name));
    for (int64_t i = 0; i < count; ++i)
      out[i] = values.at(static_cast<size_t>(first + i));
  }
  void Release(std::string_view /*name*/) const override { ++releases; }

  std::map<std::string, std::vector<float>> arrays;
  mutable int releases = 0;
};

}  // namespace sotto::cpu
