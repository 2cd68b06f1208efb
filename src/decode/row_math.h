// SPDX-License-Identifier: MIT
// Maxima and sums of exponentials over one row of logits, about 51 865 floats.
// Every function gives the same bits on every machine: sums run over 16 lanes
// whatever the vector width, and nothing is contracted into fused operations.
#pragma once

#include <cstddef>
#include <span>

namespace sotto {

// Rows are walked in blocks of this many elements.
inline constexpr size_t kRowBlock = 1024;
// Elements added up in float before they go into a double: 16 per lane, so a
// sum is off by less than 16 * 2^-24 of itself.
inline constexpr size_t kSumBlock = 256;

struct RowMax {
  size_t index = 0;  // of the first maximum, as torch.argmax
  float value;       // -inf for an empty row
};

// One pass over the row. Where the row holds a NaN the result is any element.
RowMax MaxOf(std::span<const float> row);

// Sum of exp((x - shift) * scale), for shift >= every x of the row and scale
// > 0; 0 for an empty row, NaN where the row holds one.
double SumExp(std::span<const float> row, float shift, float scale = 1.0f);

// The terms of SumExp, one by one, into `out` (row.size() floats). Relative
// error of a term at most 2e-7; terms under exp(-87) are 0.
void ExpTerms(std::span<const float> row, float shift, float scale,
              std::span<float> out);

}  // namespace sotto
