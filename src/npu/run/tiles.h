// SPDX-License-Identifier: MIT
// How many tiles attention has, and which size of tile suits an operation.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "npu/encoder/shape.h"
#include "npu/sim/parameters.h"

namespace sotto::npu {

// Tiles of `tile` queries by `tile` keys: each block of queries meets each
// block of keys, in every head of every layer, so they grow with the square of
// the length. Base: 24 x 24 x 8 x 6 = 27,648 tiles of 64.
int64_t AttentionTiles(int64_t positions, int tile, int heads, int layers);

struct TileRow {
  double seconds = 0;     // of sound
  int64_t positions = 0;  // of the encoder, if its context ended with the sound
  int tile = 0;
  int64_t tiles = 0;         // of those positions
  int64_t padded_tiles = 0;  // of whole windows of 30 s, which Whisper computes
  double ms = 0;             // all padded ones, one after another: projected
};
// One row for each length. `ms_per_tile`: of one tile, launch included.
std::vector<TileRow> TileTable(std::span<const double> seconds,
                               const EncoderShape& shape, int tile,
                               double ms_per_tile);

// `queries` against `keys` of one head.
struct AttentionOperation {
  int queries = 0;
  int keys = 0;
  int width = 64;
  bool int8 = false;
};
struct TileChoice {
  int tile = 0;  // queries and keys of a block
  int64_t tiles = 0;
  int64_t cycles = 0;  // of one core, modelled
};
// 16x16 and 64x64 with the flash kernels, cheapest first: 64 where there is
// much to do, 16 where a block of 64 would be mostly padding, as in a decoder.
std::vector<TileChoice> TileChoices(const AttentionOperation& operation,
                                    const CoreParameters& core = {});

// All of it as a page of text; every time is tagged.
std::string TileReport(const EncoderShape& shape);

}  // namespace sotto::npu
