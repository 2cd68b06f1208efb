// SPDX-License-Identifier: MIT
// The order in which a DMA channel visits memory for one run of a descriptor.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "npu/array_config.h"

namespace sotto::npu {

class Walk {
 public:
  Walk() = default;
  // `iteration`: how many times this descriptor ran before, modulo its count.
  Walk(const BufferDescriptor& descriptor, int64_t iteration);

  // Words of the stream still to come, padding included.
  int64_t remaining() const { return remaining_; }
  // Bytes of memory it touches lie in [first_byte, end_byte).
  int64_t first_byte() const { return 4 * base_; }
  int64_t end_byte() const { return 4 * (last_ + 1); }

  // Moves the next words out of or into memory. The caller has checked that
  // the walk stays inside, and that the words remain.
  void Read(std::span<const std::byte> memory, std::span<uint32_t> out);
  void Write(std::span<std::byte> memory, std::span<const uint32_t> in);

 private:
  // Innermost first. Indices count from 0 through before + size + after.
  struct Dim {
    int64_t size = 0;
    int64_t stride = 0;
    int64_t before = 0;
    int64_t after = 0;
    int64_t index = 0;
    int64_t padded() const { return before + size + after; }
  };
  struct Run {
    int64_t word = 0;
    int64_t stride = 1;
    int64_t count = 0;
    bool zeros = false;
  };
  Run Next(int64_t limit);

  std::array<Dim, 4> dims_{};
  int count_ = 1;
  int64_t base_ = 0;  // words
  int64_t last_ = 0;
  int64_t remaining_ = 0;
};

}  // namespace sotto::npu
