// SPDX-License-Identifier: MIT
// What the array's host buffers hold: the weights with their headers in the
// order in which they stream, the stem's input, the output.
#pragma once

#include <cstddef>

#include "npu/encoder/array_layout.h"
#include "npu/encoder/pack.h"
#include "tensor/buffer.h"

namespace sotto::npu {

// layout.bytes of kWeights, written once for a model.
sotto::Buffer PackArrayWeights(const ArrayLayout& layout,
                               const PackedEncoder& encoder);

// The same without a model: what tells the cores what to do, all else zero.
sotto::Buffer PackArrayHeaders(const ArrayLayout& layout);

// mel [n_mels][frames], f32, to layout.bytes of kInput.
void MakeArrayInput(const ArrayLayout& layout, const float* mel,
                    std::byte* input);
// layout.bytes of kOutput to audio [positions][width], f32.
void ReadArrayOutput(const ArrayLayout& layout, const std::byte* output,
                     float* audio);

}  // namespace sotto::npu
