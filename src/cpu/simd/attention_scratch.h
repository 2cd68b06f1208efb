// SPDX-License-Identifier: MIT
// Scratch memory of the attention kernels, planned in one place.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cpu/kernel.h"

namespace sotto::cpu {

// Most rows of a register block on any target.
inline constexpr int64_t kMostBlockRows = 14;

// Some query rows of one head on their way: one thread's share of scratch.
struct AttentionRows {
  float* q;       // [rows][head_dim], scaled
  float* acc;     // [rows][head_dim], weighted sums of values
  float* scores;  // [kMostBlockRows][kKeyBlock]
  float* peak;    // [rows], largest score so far
  float* sum;     // [rows], sum of weights so far

  // Floats for `rows` query rows. note: rows are rounded up, as blocks of an
  // odd number of rows compute one more.
  static constexpr int64_t Floats(int64_t rows, int64_t head_dim) {
    const int64_t even = RoundUp(rows, 16);
    return RoundUp(2 * even * (head_dim + 1) + kMostBlockRows * kKeyBlock, 16);
  }
  static AttentionRows At(float* memory, int64_t rows, int64_t head_dim) {
    const int64_t even = RoundUp(rows, 16);
    float* acc = memory + even * head_dim;
    float* scores = acc + even * head_dim;
    float* peak = scores + kMostBlockRows * kKeyBlock;
    return {memory, acc, scores, peak, peak + even};
  }
};

}  // namespace sotto::cpu
