// SPDX-License-Identifier: MIT
// Who runs a packed encoder: the NPU, its simulated array, or the host with the
// NPU's kernels.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "base/thread_pool.h"
#include "npu/encoder/pack.h"

namespace sotto::npu {

// Const after construction; runs of several threads wait for each other.
class EncoderRunner {
 public:
  virtual ~EncoderRunner() = default;
  // As reports print it: what ran, not what was asked for.
  virtual std::string name() const = 0;
  // Does a run take this machine's cores? Then none is worth starting before
  // its window's turn.
  virtual bool on_cpu() const { return false; }
  virtual size_t WorkBytes(const PackedEncoder& encoder) const = 0;
  // mel [n_mels][frames] to audio [positions][width]. Throws Error(kDevice)
  // where the device fails; then `audio` must not be used.
  virtual void Run(const PackedEncoder& encoder, const float* mel, float* audio,
                   std::byte* work, ThreadPool& pool) const = 0;
};

std::unique_ptr<EncoderRunner> MakeHostRunner();

// The NPU of this machine. Throws kUnsupported or kDevice saying what is
// missing.
std::unique_ptr<EncoderRunner> MakeDeviceRunner();

}  // namespace sotto::npu
