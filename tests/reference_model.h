// SPDX-License-Identifier: MIT
// Whisper as the paper and OpenAI's model.py describe it, in doubles, one loop
// per formula: no graph, no cache, no packing. What the compiled stages are
// held to on random weights. Library sotto_stage_runner.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "model/weights.h"

namespace sotto {

// Rows of `width` values.
struct Matrix {
  int64_t rows = 0;
  int64_t width = 0;
  std::vector<double> values;
  double& At(int64_t row, int64_t column) {
    return values[static_cast<size_t>(row * width + column)];
  }
  double At(int64_t row, int64_t column) const {
    return values[static_cast<size_t>(row * width + column)];
  }
  std::vector<float> Floats() const { return {values.begin(), values.end()}; }
};

class ReferenceModel {
 public:
  // `scale_power`: attention scores are scaled by head_dim to this power.
  explicit ReferenceModel(const WeightStore& store, double scale_power = -0.5)
      : store_(store), scale_power_(scale_power) {}

  // mel [n_mels, frames] -> [positions, width].
  Matrix Encode(std::span<const float> mel, int64_t frames) const;
  // Logits behind every token, the whole sequence at once.
  Matrix Decode(std::span<const int> tokens, const Matrix& audio) const;
  // x w^T + b of a named layer; no bias where the store has none.
  Matrix Linear(const Matrix& x, const std::string& name) const;

 private:
  std::vector<double> Read(const std::string& name) const;
  Matrix LayerNorm(const Matrix& x, const std::string& name) const;
  Matrix Attention(const Matrix& x, const Matrix& other,
                   const std::string& name, int64_t heads, bool causal) const;
  Matrix Convolution(const Matrix& x, const std::string& name,
                     int64_t stride) const;
  void AddMlp(Matrix& x, const std::string& name) const;

  const WeightStore& store_;
  double scale_power_;
};

}  // namespace sotto
