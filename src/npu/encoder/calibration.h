// SPDX-License-Identifier: MIT
// How large activations become, and how weights are rounded for them: what int8
// needs to know of a model. Found by running speech through the f32 encoder; a
// text file beside the weights.
#pragma once

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "npu/encoder/rounding.h"
#include "npu/encoder/shape.h"

namespace sotto::npu {

// What a channel's values were between.
struct Range {
  float least = 0;
  float largest = 0;
  float magnitude() const { return std::max(-least, largest); }
  float middle() const { return (least + largest) / 2; }
  float half() const { return (largest - least) / 2; }
  friend bool operator==(const Range&, const Range&) = default;
};

// Ranges of each channel, by site: "stem.h" (between the convolutions, 3 x
// width: one width for each tap), and for layer i "i.ln1" "i.q" "i.k" "i.v"
// "i.attn" "i.ln2" "i.h".
struct Calibration {
  std::map<std::string, std::vector<Range>, std::less<>> ranges;
  // By the matrix's name; weights of others are rounded to what is nearest.
  std::map<std::string, Rounding, std::less<>> roundings;
  int windows = 0;  // of 30 s, seen

  // Takes rows of activations in: [rows][channels]; of q and k as RotateHeads
  // turns them, since so they are rounded.
  void See(std::string_view site, std::span<const float> values,
           size_t channels);
  // Throws kBadInput naming the site that is missing or has another width.
  void Check(const EncoderShape& shape) const;
  std::span<const Range> Of(std::string_view site) const;

  std::string ToText() const;
  // Throws kBadInput as "file:line: cause".
  static Calibration Parse(std::string_view text, std::string_view file);
  static Calibration Load(const std::filesystem::path& path);
  void Save(const std::filesystem::path& path) const;
};

// Turns each head's 64 values (a Hadamard matrix over 8: orthogonal, its own
// inverse). Scores are the same when q and k are turned both, and no channel is
// far larger than others any more, so their steps are finer. Source of the
// idea: QuaRot (arXiv 2404.00456).
void RotateHeads(std::span<float> values);

// The file's name beside the weights.
inline constexpr std::string_view kCalibrationFile = "sotto.npu-scales";
// Where a model's scales lie: in its folder, or beside its file.
std::filesystem::path CalibrationPath(const std::filesystem::path& weights);

// How a product's input becomes whole numbers: value = step * (code - zero),
// channel by channel; the zeros cost nothing, since what they add is the same
// in every row and goes into biases.
struct Codes {
  int most = 0;  // 127, or 2047: from -most (GELU's: less one) to most
  std::vector<float> steps;
  std::vector<float> zeros;
};
// Where codes come from. LayerNorm's are int8. Attention's and GELU's have 12
// bits and room for twice what was seen. GELU's have their zero where its least
// value is the least code (kernels/device.h); the others' ranges are made
// symmetric.
enum class CodesOf : uint8_t { kNorm, kAttention, kGelu };

// The channels' ranges are evened out between activations and weights, the rest
// of the difference stays in one factor for all. `weight_largest`: of each
// input channel's column. Source of the idea: SmoothQuant (arXiv 2211.10438);
// of the zeros: Outlier Suppression+ (arXiv 2304.09145).
Codes InputCodes(std::span<const Range> activations,
                 std::span<const float> weight_largest, CodesOf of);

}  // namespace sotto::npu
