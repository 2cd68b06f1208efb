// SPDX-License-Identifier: MIT
// What `sotto doctor` asks of the machine, so that a test can be a machine with
// any fault.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace sotto::npu {

class System {
 public:
  static constexpr uint64_t kUnlimited = ~uint64_t{0};
  virtual ~System() = default;
  // A file's text; nothing where it cannot be read.
  virtual std::optional<std::string> Read(const std::string& path) const = 0;
  // Names in a folder, sorted; empty where there is none.
  virtual std::vector<std::string> List(const std::string& path) const = 0;
  // 0, or the errno of opening for reading and writing.
  virtual int OpenError(const std::string& path) const = 0;
  virtual std::string KernelRelease() const = 0;        // "6.14.2-amd64"
  virtual std::vector<std::string> Groups() const = 0;  // of this process
  virtual uint64_t MemlockBytes() const = 0;            // soft limit
};

std::unique_ptr<System> ThisSystem();

}  // namespace sotto::npu
