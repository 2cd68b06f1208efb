// SPDX-License-Identifier: MIT
// Finds how large the encoder's activations become, for int8.
#pragma once

#include <memory>
#include <span>

#include "base/thread_pool.h"
#include "model/weights.h"
#include "npu/encoder/calibration.h"
#include "runtime/backend.h"
#include "runtime/program.h"
#include "runtime/session.h"

namespace sotto {

// Runs windows through the f32 encoder on the CPU, every value standing alone.
class Calibrator {
 public:
  // Throws what compiling throws. The store is borrowed.
  Calibrator(const WeightStore& store, int threads);
  ~Calibrator();
  // mel [n_mels][3000].
  void See(std::span<const float> mel);
  const npu::Calibration& result() const { return result_; }

 private:
  void Look(size_t step, const Frame& frame);

  std::unique_ptr<ThreadPool> pool_;
  std::unique_ptr<Backend> backend_;
  std::shared_ptr<const Program> program_;
  Session session_;
  npu::Calibration result_;
};

}  // namespace sotto
