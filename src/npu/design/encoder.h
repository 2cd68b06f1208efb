// SPDX-License-Identifier: MIT
// The encoder's array: one configuration for all 16 cores and the phases that
// the instruction stream makes of it (docs/npu-encoder.md). bf16.
//
// Every tensor is tiles of 64 x 64 bf16, [64/4][64/8][4][8], 8 KB each,
// somewhere in a host buffer.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "npu/design/design.h"

namespace sotto::npu {

inline constexpr int64_t kEncoderTileBytes = 8192;

// Tile (row, column) is at offset + row * row_stride + column * column_stride.
struct TileTensor {
  std::string buffer;
  int64_t offset = 0;
  int64_t row_stride = 0;  // bytes
  int64_t column_stride = kEncoderTileBytes;
};
// Rows of tiles, one after the other.
TileTensor RowsOfTiles(std::string buffer, int64_t offset, int columns);

// A product's second operand: tiles [n_tiles][k_tiles] of 64 x 64 bf16 in
// [16 of n][8 of k][8][4], and the epilogue's parameters of each n-tile.
struct TileMatrix {
  std::string buffer;
  int64_t offset = 0;
  int k_tiles = 0;            // even
  int n_tiles = 0;            // a multiple of 4
  int64_t params_offset = 0;  // in the same buffer
  int64_t params_bytes = 0;   // of one n-tile, at most 4096
};

// Collects phases; Take() gives the design. Phases run one after the other,
// each from DDR to DDR.
class EncoderPhases {
 public:
  // row_tiles: a multiple of 4. width_tiles: of the residual stream.
  EncoderPhases(std::string name, int row_tiles, int width_tiles);

  // "control" is the array's own: its contents are control().
  void AddHostBuffer(std::string name, int64_t bytes, bool output);

  // out = a w, through the epilogue; `residual` (may be null, may be `out`) is
  // added to it.
  void Gemm(const TileTensor& a, const TileMatrix& w, const TileTensor& out,
            const TileTensor* residual, bool gelu);
  // LayerNorm of whole rows. params: f32 [width_tiles][2][64] at `offset` of
  // `buffer`.
  void Norm(const TileTensor& x, const std::string& buffer, int64_t offset,
            const TileTensor& out);
  // Attention. q, k, v: rows are row tiles, columns are heads, k and v with
  // their rows one behind the other; `heads` a multiple of 4; keys from
  // `positions` on are masked.
  void Attention(const TileTensor& q, const TileTensor& k, const TileTensor& v,
                 const TileTensor& out, int heads, int positions);

  // Contents of the host buffer "control", complete after the last phase.
  const std::vector<int32_t>& control() const { return control_; }
  Design Take();

 private:
  void Configure();
  void AddCore(int column, int row);
  // A header for each column; the words of columns differ in `tiles_of` only.
  void Header(std::vector<int32_t> words,
              const std::vector<int>& norm_tiles_of_column,
              const std::string& norm_buffer, int64_t norm_offset);
  void Fill(int column, const std::string& buffer, int64_t offset,
            int64_t area_offset, std::vector<DmaDim> host,
            std::vector<DmaDim> area);
  void WaitFills(const std::vector<int>& columns, int tokens);
  void WaitSends(const std::vector<int>& columns, int tokens);
  Step& Send(int column, int row, int64_t area_offset,
             std::vector<DmaDim> dims);
  void SendMore(Step* step, int64_t area_offset, std::vector<DmaDim> dims);
  void ToRows(int column, const TileTensor& out, int64_t tile_column,
              int64_t row_tiles);
  void WaitResults(const std::vector<int>& columns);
  void FillTail(int column, const TileTensor& residual, int64_t tile_column,
                int64_t row, int slot);

  Design design_;
  int row_tiles_;
  int width_tiles_;
  std::vector<int32_t> control_;
};

// The encoder of Whisper base's sizes, or a part of it, to plan and to
// simulate: host buffers "work" (first the stem's input, 8 tiles a row; the
// result is `out`), "weights", "control".
struct EncoderDesign {
  Design design;
  TileTensor in;   // of the stem
  TileTensor x;    // residual stream
  TileTensor out;  // what the last norm gives
};
EncoderDesign MakeEncoder(int layers, bool stem);

}  // namespace sotto::npu
