// SPDX-License-Identifier: MIT
// The whole encoder as one design: 16 cores whose programs never change, one
// instruction stream, one wait. docs/npu-encoder.md says how it works.
#pragma once

#include "npu/design/design.h"
#include "npu/encoder/array_layout.h"

namespace sotto::npu {

// Host buffers "input", "weights", "scratch", "output" of layout.bytes. With
// `first` and `last` only those phases are run (of layout.phases): what a part
// takes, or whether it is right.
Design MakeEncoderDesign(const ArrayLayout& layout, size_t first = 0,
                         size_t last = SIZE_MAX);
Design MakeEncoderDesign(const EncoderShape& shape, EncoderPrecision precision);

}  // namespace sotto::npu
