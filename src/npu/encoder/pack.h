// SPDX-License-Identifier: MIT
// The encoder's weights in the tiles that the NPU's kernels read, rounded to
// their type once.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "npu/encoder/calibration.h"
#include "npu/encoder/shape.h"
#include "npu/kernels/device.h"
#include "runtime/weight_reader.h"
#include "tensor/buffer.h"

namespace sotto::npu {

// A product's second operand. Tiles [n_tiles][k_tiles] of 64 x 64: int8 in
// [8 of n][8 of k][8][8], bf16 in [16 of n][8 of k][8][4]. What the epilogue of
// each tile of n does, kernels/device.h's bits, and what it reads: int8 eight
// FinishColumn, bf16 64 biases.
struct PackedMatrix {
  std::string name;
  EncoderPrecision precision = EncoderPrecision::kBF16;
  int k_tiles = 0;
  int n_tiles = 0;
  sotto::Buffer tiles;
  std::vector<int> modes;
  std::vector<FinishColumn> columns;
  std::vector<float> biases;

  bool int8() const { return precision == EncoderPrecision::kInt8; }
  size_t tile_bytes() const {
    return int8() ? kTileElements : 2 * kTileElements;
  }
  const std::byte* tile(int n, int k) const {
    return tiles.data() + static_cast<size_t>(n * k_tiles + k) * tile_bytes();
  }
  // What the epilogue of tile n reads.
  std::span<const std::byte> tile_params(int n) const {
    const auto at = static_cast<size_t>(n);
    return int8() ? std::as_bytes(
                        std::span(columns).subspan(at * (kTile / 8), kTile / 8))
                  : std::as_bytes(std::span(biases).subspan(at * kTile, kTile));
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

// The matrices whose inputs calibration saw, as `calibration`'s ranges have
// them rounded; its roundings are not looked at. Throws as Pack does.
void VisitUnrounded(const EncoderShape& shape, const WeightReader& weights,
                    const Calibration& calibration,
                    FunctionRef<void(const Unrounded&)> visit);

// Reads the checkpoint's tensors by their canonical names (model/weights.h).
// `calibration` is wanted for int8 and ignored otherwise.
PackedEncoder Pack(const EncoderShape& shape, EncoderPrecision precision,
                   const WeightReader& weights, const Calibration* calibration);

}  // namespace sotto::npu
