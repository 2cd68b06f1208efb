// SPDX-License-Identifier: MIT
// The system calls that a driver's node takes, so that a test can be the
// driver.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace sotto::npu {

// An open node. Thread-safe, as system calls are.
class Ioctl {
 public:
  virtual ~Ioctl() = default;
  // 0, or the errno of ioctl(2).
  virtual int Call(unsigned long request, void* argument) = 0;
  // `bytes` of the node from `offset` on, shared, to read and write, at a
  // multiple of `alignment` (a power of two; 0: anywhere). Null where the
  // driver refuses.
  virtual std::byte* Map(size_t bytes, uint64_t offset, size_t alignment) = 0;
  virtual void Unmap(std::byte* memory, size_t bytes) = 0;
};

// Throws kDevice naming path and cause.
std::unique_ptr<Ioctl> OpenNode(const std::string& path);

}  // namespace sotto::npu
