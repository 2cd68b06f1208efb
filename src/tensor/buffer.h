// SPDX-License-Identifier: MIT
// Buffer: the one owner of tensor memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

namespace sotto {

// 64 is a cache line and an AVX-512 register; tile loads want it too.
inline constexpr size_t kAlignment = 64;

// Aligned bytes on the heap, zeroed by the system where `bytes` is large.
// Movable, not copyable. Throws kOutOfMemory. `allocations()` counts every
// Buffer ever made in this process, so that tests can prove a loop makes none.
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(size_t bytes);
  Buffer(Buffer&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)),
        bytes_(std::exchange(other.bytes_, 0)),
        mapped_(other.mapped_) {}
  Buffer& operator=(Buffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    std::swap(mapped_, other.mapped_);
    return *this;
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer();

  std::byte* data() const { return data_; }
  size_t size() const { return bytes_; }
  std::span<std::byte> bytes() const { return {data_, bytes_}; }
  template <typename T>
  T* As() const {
    return static_cast<T*>(static_cast<void*>(data_));
  }

  static uint64_t allocations();

 private:
  std::byte* data_ = nullptr;
  size_t bytes_ = 0;
  bool mapped_ = false;
};

}  // namespace sotto
