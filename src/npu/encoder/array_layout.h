// SPDX-License-Identifier: MIT
// The encoder on the 4x4 array as a list of phases, with the place of every
// matrix in the host's buffers. array_design.h makes the streams of it,
// array_pack.h the weights in the order in which they stream.
#pragma once

#include <climits>
#include <cstdint>
#include <string>
#include <vector>

#include "npu/encoder/shape.h"

namespace sotto::npu {

// Every 64 x 64 tile in DDR has a slot of this size, what it holds or not: the
// elements of all streams are the same in all phases.
inline constexpr int64_t kSlotBytes = 8192;
// Rows of tiles that the array works on at once, one a row of cores, and tiles
// of columns, one a column.
inline constexpr int kArrayRows = 4;
inline constexpr int kArrayColumns = 4;
// A header: 16 words of control, flags of a few blocks, then their epilogue's
// parameters; the rest of its two elements is not read.
inline constexpr int64_t kHeaderBytes = 2 * kSlotBytes;
inline constexpr int64_t kControlBytes = 64;
inline constexpr int64_t kFlagBytes = 64;  // of a block
inline constexpr int kHeaderBlocks = 6;    // whose parameters a header has
// Parameters of a block: FinishColumn, or gamma and beta, or biases.
constexpr int64_t BlockParams(EncoderPrecision precision) {
  return (precision == EncoderPrecision::kInt8 ? 12 : 8) * kTile;
}

// What the header tells the cores; each is one i32.
enum ControlWord : int {
  kBlocks,     // blocks of this header
  kKTrips,     // pairs of elements of weights in a block
  kWideTrips,  // the same where the first operand is int16 beside int8
  kFinish,     // 1: epilogue of a product
  kApplyInt8,  // of LayerNorm's results
  kAttend,     // 1: attention
  kKeyTiles,
  kValid,         // keys
  kInverseWidth,  // 1 / width, a float
  kShift,
  kStatsSteps,  // those tiles, one by one
};
// Flags of a block, each one i32: where its result's element is filled from.
enum BlockFlag : int {
  kPick,        // 1: from its own of the four tiles that follow
  kPickBeside,  // 1: from its own of the four that follow its weights
  kKept,        // 1: from the second tile that was kept when sums were taken,
                // once that is normalised where it is
  kApply,       // 1: LayerNorm with the rows' sums, of the result's element
  kMode,        // of the epilogue
  kStatsPairs,  // pairs of tiles of x whose rows' sums are taken first
};

enum class ArrayBuffer : uint8_t { kInput, kWeights, kScratch, kOutput };
const char* NameOf(ArrayBuffer buffer);

// [row tiles][columns] slots, columns rounded up to whole blocks. Paired: two
// int8 tiles of columns are [64/4][16][4][8] in the first of their two slots,
// which is how a product reads 128 of K at once; the second tile's first run of
// eight blocks begins kPairStep bytes in.
inline constexpr int64_t kPairStep = 256;
struct SlotMatrix {
  ArrayBuffer buffer = ArrayBuffer::kScratch;
  int64_t offset = 0;
  int columns = 0;
  bool paired = false;

  int64_t At(int row, int column) const {
    const int64_t slot = int64_t{row} * columns + column;
    return offset + (paired ? slot / 2 * 2 * kSlotBytes + slot % 2 * kPairStep
                            : slot * kSlotBytes);
  }
};

// Where the results of blocks go: of column c's block n, rows m..m+3 of tiles.
struct Target {
  ArrayBuffer buffer = ArrayBuffer::kScratch;
  int64_t offset = 0;
  int64_t column_step = 0;
  int64_t odd_column_step = 0;  // of columns 1 and 3, where pairs interleave
  int64_t row_step = 0;         // of one tile
  int64_t block_step = 0;       // of four columns
  int blocks = 0;
  bool paired = false;

  int64_t At(int row, int column, int block) const {
    return offset + row * row_step + block * block_step +
           (paired ? column / 2 * column_step + column % 2 * odd_column_step
                   : column * column_step);
  }
};

struct Phase {
  enum class Kind : uint8_t { kProduct, kNorm, kAttention };
  enum class What : uint8_t {
    kStem1,
    kStem2,
    kNorm1,
    kQKV,
    kAttention,
    kOut,
    kNorm2,
    kFc1,
    kFc2,
    kLast,
  };
  Kind kind = Kind::kProduct;
  What what = What::kStem1;
  int layer = 0;
  SlotMatrix a;       // of a product, x, or Q
  int k_tiles = 0;    // whole trips; of a norm whole pairs
  bool adds = false;  // `residual` is added
  // It comes with the weights, four rows of a block's column, instead of with
  // the operand, four columns of a row: that stream has less to carry.
  bool beside = false;
  SlotMatrix residual;
  int mode = 0;
  int later_mode = 0;  // of blocks from `later` on
  int later = INT_MAX;
  std::vector<Target> targets;
  int heads_from = 0;  // attention: of the four heads
  bool waits = true;   // for what the phase before it wrote
  // Blocks of rows that one header serves: its blocks are told as often.
  int together = 1;
  // Of one column: headers and tiles, tiles as often as there are blocks of
  // rows.
  int64_t weights = 0;  // offset of column 0
  int64_t weight_bytes = 0;

  int blocks() const;
  // Blocks of the header that starts with block `first`, of those that one has
  // room for.
  int HeaderFrom(int first, int room) const;
  std::string Name() const;
};

struct ArrayLayout {
  EncoderShape shape;
  EncoderPrecision precision = EncoderPrecision::kBF16;
  int row_blocks = 0;  // of four tiles of rows
  int head_blocks = 0;
  std::vector<Phase> phases;
  // int8: attended is int16 where normed is int8, in the same place.
  SlotMatrix input, x, normed, attended, hidden, ffn, q, positions, output;
  int64_t kv = 0;         // scratch: [head][row tile] slots of K and of V
  int64_t bytes[4] = {};  // of the host buffers

  int rows() const { return row_blocks * kArrayRows; }
  bool int8() const { return precision == EncoderPrecision::kInt8; }
  // Tiles of K in an element of weights.
  int element_tiles() const { return int8() ? 2 : 1; }
  // A product whose first operand is int16, a tile an element.
  bool Wide(const Phase& p) const {
    return int8() && p.kind == Phase::Kind::kProduct && !p.a.paired;
  }
};

// Throws kUnsupported naming a size that the streams cannot move.
ArrayLayout MakeArrayLayout(const EncoderShape& shape,
                            EncoderPrecision precision);

}  // namespace sotto::npu
