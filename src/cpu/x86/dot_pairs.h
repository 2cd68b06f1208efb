// SPDX-License-Identifier: MIT
// The inner loop of Order::kPairs: vdpbf16ps over a block of rows and panels.
#pragma once

#include "cpu/x86/dot.h"

namespace sotto::cpu::x86 {

struct PairsOrder {
  // Rows and panels of the block that tile kernels walk in. 24 sums keep two
  // units of latency 6 busy, and 6 rows x 4 panels read 10 registers for 24
  // products; 12 x 2 reads 14 and fares worse where rows are 4096 bytes apart
  // and share the sets of the first cache.
  static constexpr int kRows = 6;
  static constexpr int kPanels = 4;
  // Rows of attention that go through keys and values together.
  static constexpr int kGroup = 24;
  // Most rows of one block, for few rows over weights that must be read once.
  static constexpr int kMaxRows = 16;

  // Panels that a block of so many rows may have: 24 sums, and at most four
  // streams of weights.
  static constexpr int PanelsFor(int64_t rows) {
    return rows <= 6 ? 4 : rows <= 12 ? 2 : 1;
  }
  static constexpr int64_t Pairs(int64_t k) { return (k + 1) / 2; }
  // Any rows in [1, kMaxRows], panels in [1, PanelsFor(rows)].
  static void Dot(int64_t rows, int64_t panels, const DotBlock& block);
};

}  // namespace sotto::cpu::x86
