// SPDX-License-Identifier: MIT
// Finds how large the encoder's activations become, for int8.
#pragma once

#include <memory>
#include <span>
#include <string_view>

#include "base/function_ref.h"
#include "base/thread_pool.h"
#include "model/weights.h"
#include "npu/encoder/calibration.h"
#include "runtime/backend.h"
#include "runtime/program.h"
#include "runtime/session.h"

namespace sotto {

// The f32 encoder on the CPU, every value of its graph (model/encoder.cc)
// standing alone, to look at while a window runs.
class EncoderTrace {
 public:
  // Throws what compiling throws. The store is borrowed.
  EncoderTrace(const WeightStore& store, int threads);
  ~EncoderTrace();
  // One value: its name ("enc.3.attn.q"), [rows][channels].
  using Look = FunctionRef<void(
      std::string_view name, std::span<const float> values, size_t channels)>;
  // mel [n_mels][3000].
  void Run(std::span<const float> mel, Look look);
  ThreadPool& pool() { return *pool_; }

 private:
  std::unique_ptr<ThreadPool> pool_;
  std::unique_ptr<Backend> backend_;
  std::shared_ptr<const Program> program_;
  Session session_;
};

// Runs windows through it and notes what int8 needs.
class Calibrator {
 public:
  // Throws kUnsupported for models that the NPU's tiles do not fit. The store
  // is borrowed.
  Calibrator(const WeightStore& store, int threads);
  // mel [n_mels][3000].
  void See(std::span<const float> mel);
  // After all windows: how the weights are rounded. done(matrices, of all) is
  // called after each.
  void Round(FunctionRef<void(int, int)> done);
  const npu::Calibration& result() const { return result_; }
  const npu::EncoderShape& shape() const { return shape_; }

 private:
  // Moments of rows of `width` values that begin at `starts`.
  void SeeRows(const std::string& site, std::span<const float> values,
               size_t width, std::span<const size_t> starts);

  const WeightStore& store_;
  npu::EncoderShape shape_;
  EncoderTrace trace_;
  npu::Moments moments_;
  npu::Calibration result_;
};

}  // namespace sotto
