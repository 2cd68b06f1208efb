// SPDX-License-Identifier: MIT
// WeightReader: where a backend gets the values of a weight it packs. The
// compiler implements it over a WeightStore; tests over plain arrays.
#pragma once

#include <cstdint>
#include <string_view>

namespace sotto {

class WeightReader {
 public:
  virtual ~WeightReader() = default;
  // Values [first, first + count) of the named checkpoint tensor's flat
  // row-major order, as f32. Any thread.
  virtual void Read(std::string_view name, int64_t first, int64_t count,
                    float* out) const = 0;
  // The tensor has been packed: its source pages may go.
  virtual void Release(std::string_view name) const = 0;
};

}  // namespace sotto
