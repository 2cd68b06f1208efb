// SPDX-License-Identifier: MIT
// From a matrix in f32 to tiles: rounding, constants of the epilogue, layout.
#pragma once

#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "npu/encoder/pack.h"

namespace sotto::npu {

// A weight that is -127 in int8 whatever the scale: of a mark (Packer::Stem1).
inline constexpr float kMarkWeight = -std::numeric_limits<float>::infinity();

// A matrix [n][k] in f32 with what rounding it needs.
struct Dense {
  std::string name;
  std::string site;  // of its inputs, where they were seen
  int n = 0;
  int k = 0;
  std::vector<float> w, bias;
  int most = 127;            // code of inputs
  std::vector<float> step;   // of input channels; empty: bf16
  std::vector<float> zero;   // of input channels: the code of 0; or empty
  std::vector<float> scale;  // of outputs, before rounding them to int8
  std::vector<float> times;  // of outputs, before that; folded in
  std::vector<float> least;  // of outputs: their step is no smaller; or empty
  std::vector<float> codes;  // of outputs: GELU's code of 0; or empty
  int mode = 0;              // of the epilogue (kernels/device.h)
  int later = 0;             // rows whose mode differs from there on, or 0
  int later_mode = 0;

  Dense(std::string label, int outputs, int inputs)
      : name(std::move(label)),
        n(outputs),
        k(inputs),
        w(static_cast<size_t>(outputs) * inputs),
        bias(static_cast<size_t>(outputs)),
        scale(static_cast<size_t>(outputs), 1.0F),
        times(static_cast<size_t>(outputs), 1.0F) {}
  float* row(int i) { return w.data() + static_cast<size_t>(i) * k; }
  const float* row(int i) const {
    return w.data() + static_cast<size_t>(i) * k;
  }

  // Of each input channel's column.
  std::vector<float> Largest() const;
};

// The codes before rounding, of a matrix with steps (int8).
Unrounded WithoutRounding(const Dense& m);

// int8 where m has steps, else bf16. `rounding` may be null: the nearest codes.
// Throws kBadInput where it was found for another matrix.
PackedMatrix PackDense(const Dense& m, const Rounding* rounding);

}  // namespace sotto::npu
