// SPDX-License-Identifier: MIT
// What the array of a Phoenix or Hawk Point NPU (npu1, AIE2) is made of. Every
// number is a published one; the source stands beside it. Nothing here is
// fitted.
#pragma once

#include <compare>
#include <cstdint>
#include <string>

namespace sotto::npu {

// Columns as an application sees them: 0..3. Rows: 0 shim, 1 mem tile, 2..5
// cores (mlir-aie AIETargetModel, device npu1).
inline constexpr int kColumns = 4;
inline constexpr int kShimRow = 0;
inline constexpr int kMemRow = 1;
inline constexpr int kFirstCoreRow = 2;
inline constexpr int kRows = 6;

struct TileId {
  int col = 0;
  int row = 0;
  friend auto operator<=>(const TileId&, const TileId&) = default;
  // "(0,2)"
  std::string ToString() const {
    return "(" + std::to_string(col) + "," + std::to_string(row) + ")";
  }
};

enum class TileKind : uint8_t { kShim, kMem, kCore };
constexpr TileKind KindOf(TileId tile) {
  return tile.row == kShimRow  ? TileKind::kShim
         : tile.row == kMemRow ? TileKind::kMem
                               : TileKind::kCore;
}

// Limits of one kind of tile (AM020; bit widths of aie-rt's generated register
// header). Lengths, sizes and strides of DMAs count 32-bit words.
struct TileLimits {
  int64_t memory_bytes;
  int64_t program_bytes;
  int banks;
  int dma_channels;  // of each direction
  int buffer_descriptors;
  int locks;
  int dma_dims;       // without the iteration dimension
  int64_t max_words;  // of one buffer descriptor
  int64_t max_wrap;   // largest size of a dimension
  int64_t max_step;   // largest stride
  int64_t max_iterations;
  bool pads;  // MM2S may insert zeros
};

constexpr TileLimits LimitsOf(TileKind kind) {
  switch (kind) {
    case TileKind::kShim:
      return {0,    0,       0,  2,    16, 16, 3, int64_t{0xFFFFFFFF},
              1023, 1 << 20, 64, false};
    case TileKind::kMem:
      return {512 * 1024,    0,    16,      6,  48,  64, 4,
              (1 << 17) - 1, 1023, 1 << 17, 64, true};
    case TileKind::kCore:
      return {64 * 1024, 16 * 1024,     4,   2,       16, 16,
              3,         (1 << 14) - 1, 255, 1 << 13, 64, false};
  }
  return {};
}

inline constexpr int kDefaultStackBytes = 1024;  // UG1603
inline constexpr int kMaxLockValue = 63;
inline constexpr int kTaskQueueDepth = 4;
// Data buffers a kernel of an xclbin may take (bo0..bo4).
inline constexpr int kMaxHostBuffers = 5;
// amd/xdna-driver, npu1_regs.c
inline constexpr int kMaxContexts = 6;

// Addresses of a tile's registers and memory in the array's address space:
// column c adds c << 25, row r adds r << 20.
constexpr uint32_t TileBase(TileId tile) {
  return static_cast<uint32_t>(tile.col) << 25 | static_cast<uint32_t>(tile.row)
                                                     << 20;
}

}  // namespace sotto::npu
