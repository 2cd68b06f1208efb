// SPDX-License-Identifier: MIT
// How large activations become: what int8 needs to know of a model before it
// can round them. Found by running speech through the f32 encoder; a text file
// beside the weights.
#pragma once

#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "npu/encoder/shape.h"

namespace sotto::npu {

// Largest magnitude seen of each channel, by site: "stem.h" (between the
// convolutions, 3 x width: one width for each tap), and for layer i
// "i.ln1" "i.q" "i.k" "i.v" "i.attn" "i.ln2" "i.h".
struct Calibration {
  std::map<std::string, std::vector<float>, std::less<>> largest;
  int windows = 0;  // of 30 s, seen

  // Takes rows of activations in: [rows][channels].
  void See(std::string_view site, std::span<const float> values,
           size_t channels);
  // Throws kBadInput naming the site that is missing or has another width.
  void Check(const EncoderShape& shape) const;
  std::span<const float> Of(std::string_view site) const;

  std::string ToText() const;
  // Throws kBadInput as "file:line: cause".
  static Calibration Parse(std::string_view text, std::string_view file);
  static Calibration Load(const std::filesystem::path& path);
  void Save(const std::filesystem::path& path) const;
};

// The file's name beside the weights.
inline constexpr std::string_view kCalibrationFile = "sotto.npu-scales";

// The int8 step of each input channel of a product: the channels' ranges are
// evened out between activations and weights, the rest of the difference stays
// in one factor for all. `weight_largest`: of each input channel's column.
// Source of the idea: SmoothQuant (arXiv 2211.10438); exponent 0.65, which kept
// most of base's encoder output of 0.5, 0.65 and 0.8.
std::vector<float> InputSteps(std::span<const float> activation_largest,
                              std::span<const float> weight_largest);

}  // namespace sotto::npu
