// SPDX-License-Identifier: MIT
// The simulator behind the interface of the device: same order of calls, same
// checks of arguments, same states.
#pragma once

#include <atomic>
#include <memory>

#include "npu/host/device.h"
#include "npu/sim/array.h"

namespace sotto::npu {

// Buffers are two: the host's mapping and what the array sees; syncs copy, so
// that a forgotten one shows. Until the first sync the array reads 0xFF, as
// unmapped memory does.
class SimDevice : public Device {
 public:
  explicit SimDevice(SimOptions options = {}) : options_(std::move(options)) {}
  std::string name() const override { return "npu1 simulator"; }
  bool simulated() const override { return true; }
  // Throws Error(kDevice) "no context free" for the seventh open context, and
  // Error(kBadInput) for a configuration that the array cannot hold.
  std::unique_ptr<Context> Open(const Image& image) override;

  int open_contexts() const { return *open_; }

 private:
  SimOptions options_;
  std::shared_ptr<std::atomic<int>> open_ =
      std::make_shared<std::atomic<int>>(0);
};

// What a simulated context knows beyond Context. RunResult::time holds the
// launch and the array's cycles.
class SimContext : public Context {
 public:
  virtual const SimReport& report() const = 0;  // of the last run
  virtual const Array& array() const = 0;
};

}  // namespace sotto::npu
