// SPDX-License-Identifier: MIT
// PackedWeights: the weights of a model in the layouts that kernels read
// (kernel.h), each packed once and shared by all programs.
#pragma once

#include <atomic>
#include <cstddef>
#include <map>
#include <mutex>
#include <span>
#include <string>

#include "base/thread_pool.h"
#include "cpu/kernel.h"
#include "ir/graph.h"
#include "runtime/weight_reader.h"
#include "tensor/buffer.h"

namespace sotto::cpu {

// A matrix [n, k] made of parts stacked on axis 0. `taps` is 3 for a
// convolution's weight [n, k / 3, 3], whose k index becomes
// tap * channels + channel; 1 elsewhere.
struct MatrixSource {
  std::span<const ir::WeightPart> parts;
  int64_t n = 0, k = 0;
  int64_t taps = 1;
};

// Owns packed weights under (parts, type, layout). Thread-safe: one call packs
// at a time. Addresses stay valid as long as the object. While packing, source
// pages are given back every few megabytes, so that the peak of memory is what
// is packed plus a little.
class PackedWeights {
 public:
  // `pool` packs; nobody else may use it during a call.
  explicit PackedWeights(ThreadPool* pool) : pool_(pool) {}

  // Panels of the matrix in f32, f16 or bf16, rounded to nearest even.
  const std::byte* Matrix(const MatrixSource& source, DType type,
                          const WeightReader& reader);
  // `parts` in the order of the checkpoint, as f32; `row` values for each row
  // of axis 0 (1 for vectors).
  const float* Plain(std::span<const ir::WeightPart> parts, int64_t row,
                     const WeightReader& reader);

  // Bytes held now, and bytes ever written while packing.
  size_t packed_bytes() const { return packed_bytes_; }
  size_t bytes_copied() const { return bytes_copied_; }

 private:
  // The buffer under `key`; made with `bytes` and filled where it is new.
  template <typename Fill>
  const Buffer& Once(const std::string& key, size_t bytes, const Fill& fill);

  ThreadPool* pool_;
  std::mutex mutex_;
  std::map<std::string, Buffer> buffers_;
  std::atomic<size_t> packed_bytes_{0};
  std::atomic<size_t> bytes_copied_{0};
};

}  // namespace sotto::cpu
