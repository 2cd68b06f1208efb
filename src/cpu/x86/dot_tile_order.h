// SPDX-License-Identifier: MIT
// Order::kTile without tiles: what tdpbf16ps computes, with shifts and FMA.
// For few rows, where a tile of sixteen would be mostly empty.
#pragma once

#include "cpu/x86/dot.h"

namespace sotto::cpu::x86 {

struct TileOrder {
  static constexpr int kRows = 2;
  static constexpr int kPanels = 4;
  static constexpr int kMaxRows = 8;

  // Each element has two chains and a sum: eight elements fill the registers.
  static constexpr int PanelsFor(int64_t rows) {
    return rows <= 2 ? 4 : rows <= 4 ? 2 : 1;
  }
  static constexpr int64_t Pairs(int64_t k) {
    return RoundUp(k, kTileDepth) / 2;
  }
  // Any rows in [1, kMaxRows], panels in [1, PanelsFor(rows)]; pairs a
  // multiple of 16, a tile's depth.
  static void Dot(int64_t rows, int64_t panels, const DotBlock& block);
};

}  // namespace sotto::cpu::x86
