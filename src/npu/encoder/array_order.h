// SPDX-License-Identifier: MIT
// The instruction stream of the encoder on the array, and the chunks of L2 that
// it fills and sends.
#pragma once

#include <fmt/format.h>

#include <string>

#include "npu/design/design.h"
#include "npu/encoder/array_layout.h"

namespace sotto::npu {

// Of L2: a ring of chunks with activations of a row of cores, filled from DDR
// once and sent for each block that needs them, while others are filled. Each
// has locks "free<row>_<chunk>" and "full<row>_<chunk>".
inline constexpr int kChunks = 6;
inline constexpr int kChunkSlots = 8;
inline constexpr int64_t kChunkBytes = kChunkSlots * kSlotBytes;

inline std::string ChunkName(const char* what, int row, int chunk) {
  return fmt::format("{}{}_{}", what, row, chunk);
}

// Appends phases `first` to `last` of the layout to the design's sequence.
void OrderPhases(const ArrayLayout& layout, size_t first, size_t last,
                 Design* design);

}  // namespace sotto::npu
