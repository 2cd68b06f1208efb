// SPDX-License-Identifier: MIT
// The encoder's weights in the tiles that the NPU's kernels read, rounded to
// their type once.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "npu/encoder/calibration.h"
#include "npu/encoder/shape.h"
#include "runtime/weight_reader.h"
#include "tensor/buffer.h"

namespace sotto::npu {

// A product's second operand. Tiles [n_tiles][k_tiles] of 64 x 64: int8 in
// [8 of n][8 of k][8][8], bf16 in [16 of n][8 of k][8][4]. params, f32:
// [n_tiles][3][64]: what a sum is multiplied by (int8), the bias, and what the
// result is multiplied by before it is rounded to int8 (1 where it is not).
struct PackedMatrix {
  std::string name;
  EncoderPrecision precision = EncoderPrecision::kBF16;
  int k_tiles = 0;
  int n_tiles = 0;
  sotto::Buffer tiles;
  std::vector<float> params;

  size_t tile_bytes() const {
    return precision == EncoderPrecision::kInt8 ? kTileElements
                                                : 2 * kTileElements;
  }
  const std::byte* tile(int n, int k) const {
    return tiles.data() + static_cast<size_t>(n * k_tiles + k) * tile_bytes();
  }
  const float* tile_params(int n) const {
    return params.data() + static_cast<size_t>(n) * 3 * kTile;
  }
};

// f32 [width/64][2][64]: gamma, beta. For int8 both over the channel's step.
using PackedNorm = std::vector<float>;

struct PackedLayer {
  PackedNorm ln1, ln2;
  PackedMatrix qkv, out, fc1, fc2;
  // int8: a head's score is (q k) 2^-shift.
  std::vector<int> shifts;
};

struct PackedEncoder {
  // No other one of this process has it: a device knows by it whose weights it
  // holds.
  uint64_t id = NextId();
  EncoderShape shape;
  EncoderPrecision precision = EncoderPrecision::kBF16;
  PackedMatrix stem1, stem2;
  sotto::Buffer positions;  // bf16 tiles [row_tiles][width_tiles]
  std::vector<PackedLayer> layers;
  PackedNorm last;

  size_t bytes() const;

 private:
  static uint64_t NextId();
};

// Reads the checkpoint's tensors by their canonical names (model/weights.h).
// `calibration` is wanted for int8 and ignored otherwise.
PackedEncoder Pack(const EncoderShape& shape, EncoderPrecision precision,
                   const WeightReader& weights, const Calibration* calibration);

}  // namespace sotto::npu
