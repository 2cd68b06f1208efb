// SPDX-License-Identifier: MIT
// The NPU as a backend of the compiler: takes the whole encoder as one step,
// one dispatch a window, and nothing else.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "ir/graph.h"
#include "npu/encoder/calibration.h"
#include "npu/encoder/runner.h"
#include "npu/encoder/shape.h"
#include "runtime/backend.h"

namespace sotto::npu {

struct NpuOptions {
  std::shared_ptr<const EncoderRunner> runner;
  std::shared_ptr<const Calibration> calibration;  // null: int8 is refused
};

std::unique_ptr<Backend> MakeNpuBackend(NpuOptions options);

// What an encoder's graph is, read from the graph itself; after whatever
// passes. Throws kUnsupported saying why it cannot run in the NPU's tiles.
struct EncoderMatch {
  EncoderShape shape;
  int batch = 1;  // windows
  EncoderPrecision precision = EncoderPrecision::kBF16;
};
EncoderMatch MatchEncoder(const ir::Graph& graph);

}  // namespace sotto::npu
