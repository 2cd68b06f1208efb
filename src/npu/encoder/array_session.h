// SPDX-License-Identifier: MIT
// The encoder's design on an open context, real or simulated: its buffers, a
// model's weights in them, one submission a window.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "npu/encoder/array_layout.h"
#include "npu/encoder/pack.h"
#include "npu/host/device.h"

namespace sotto::npu {

// For one shape and precision. Used by one thread at a time.
class ArraySession {
 public:
  // `context` must outlive the session; its image is the design of this shape
  // and precision. Throws what making buffers throws.
  ArraySession(Context* context, ArrayLayout layout,
               std::span<const uint32_t> instructions,
               std::chrono::milliseconds timeout);

  bool Takes(const PackedEncoder& encoder) const {
    return layout_.shape == encoder.shape &&
           layout_.precision == encoder.precision;
  }
  // mel [n_mels][frames] to audio [positions][width]. Writes the weights first
  // where they are not this model's. Throws Error(kDevice) with the run's state
  // where it does not complete; then `audio` is untouched.
  void Run(const PackedEncoder& encoder, const float* mel, float* audio);

 private:
  void Write(const PackedEncoder& encoder);
  HostBuffer& Data(ArrayBuffer buffer) {
    return *data_[static_cast<int>(buffer)];
  }

  Context* context_;
  ArrayLayout layout_;
  uint32_t n_words_;
  std::chrono::milliseconds timeout_;  // 0: none
  std::unique_ptr<HostBuffer> instructions_;
  std::unique_ptr<HostBuffer> data_[4];
  std::optional<uint64_t> holds_;  // PackedEncoder::id of its weights
};

}  // namespace sotto::npu
