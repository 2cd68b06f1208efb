// SPDX-License-Identifier: MIT
// Power spectra to log10 of mel bands, several frames side by side.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "audio/log_mel.h"

namespace sotto {

inline constexpr size_t kBandBatch = 16;  // frames: one AVX-512 register

// [frequency][frame of the batch]
using PowerBatch = std::array<std::array<float, kBandBatch>, kSpectrum>;

// The filters without their zeros. Const after construction.
class MelBands {
 public:
  explicit MelBands(int n_mels);
  int n_mels() const { return static_cast<int>(bands_.size()); }

  // out[frame * n_mels + m] = log10(max(1e-10, band m of the frame)) for the
  // first `frames` of the batch; returns the largest of them. All lanes add in
  // the same order, so a frame does not depend on its neighbours.
  float Log(const PowerBatch& power, size_t frames, std::span<float> out) const;

 private:
  struct Band {
    uint32_t first;  // frequency
    uint32_t begin;  // in weights_
    uint32_t count;
  };
  std::vector<Band> bands_;
  std::vector<float> weights_;
};

}  // namespace sotto
