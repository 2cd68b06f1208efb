// SPDX-License-Identifier: MIT
// What others measured on this array, and the loops of their kernels as their
// public sources have them: what the cost model is held against. Our own
// kernels' loops stand with them (kernels/costs.h).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "npu/kernels/kernel.h"

namespace sotto::npu {

// A blocked matrix product: register tiles r x s by s x t, `rows` x `cols` of
// them accumulated at a time.
struct MatrixLoops {
  int64_t m = 0;
  int64_t k = 0;
  int64_t n = 0;
  bool bf16 = false;
  int in_bits = 8;
  int r = 4;
  int s = 8;
  int t = 8;
  int rows = 4;
  int cols = 2;
  int out_bits = 32;
  bool adds_to_c = true;  // C is read, added to and written back
};
std::vector<LoopCost> LoopsOf(const MatrixLoops& mm);

struct PublishedKernel {
  std::string_view name;
  std::string_view size;
  double low = 0;  // cycles; least of what is given
  double cycles = 0;
  std::string_view source;
  // Empty: its loops are not counted, so nothing is predicted.
  std::vector<LoopCost> loops;
};
std::vector<PublishedKernel> PublishedKernels();

// Best published GEMMs of the whole array (arXiv 2512.13282): tile per core,
// problem, measured TOPS.
struct PublishedGemm {
  bool bf16 = false;
  int out_bits = 8;
  int64_t m = 0, k = 0, n = 0;     // tile
  int64_t pm = 0, pk = 0, pn = 0;  // problem
  double mac_per_cycle = 0;        // one core
  double tops = 0;                 // 16 cores
};
std::span<const PublishedGemm> PublishedGemms();
// The same with open tools (mlir-aie's whole_array, measured by whisper-xdna on
// an 8845HS).
std::span<const PublishedGemm> OpenGemms();

// whisper-xdna's encoder, 1500 frames: what it launches for each layer is in
// validate_encoder.cc.
struct PublishedEncoder {
  std::string_view name;
  int layers = 0;
  int64_t d = 0;
  int64_t heads = 0;
  int64_t mels = 80;
  double ms = 0;
};
std::span<const PublishedEncoder> PublishedEncoders();
MatrixLoops LoopsFor(const PublishedGemm& gemm);

}  // namespace sotto::npu
