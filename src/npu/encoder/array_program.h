// SPDX-License-Identifier: MIT
// What the 16 cores run: one program for all phases, told by headers what to do
// (array_layout.h). docs/npu-encoder.md has it in words.
#pragma once

#include <vector>

#include "npu/design/design.h"
#include "npu/encoder/array_layout.h"

namespace sotto::npu {

// Of the core in `column` and core row `row` (0 to 3): streams "a<row>",
// "w<column>", "c<column>_<row>", buffers as below.
std::vector<Op> CoreProgram(int column, int row, const ArrayLayout& layout);
std::vector<StaticBuffer> CoreBuffers(int column, int row,
                                      const ArrayLayout& layout);

}  // namespace sotto::npu
