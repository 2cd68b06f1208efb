// SPDX-License-Identifier: MIT
// How a matrix's weights are rounded to int8: not each to what is nearest, but
// so that the errors of a row take one another back on the inputs that speech
// makes. Source of the method: GPTQ (arXiv 2210.17323).
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/function_ref.h"
#include "base/thread_pool.h"
#include "npu/encoder/shape.h"
#include "runtime/weight_reader.h"

namespace sotto::npu {

struct Calibration;

// What the codes of a matrix [rows][columns] differ by from the nearest.
struct Rounding {
  int rows = 0;
  int columns = 0;
  // Of the nearest codes, by SignatureOf: a file of other weights is found out.
  std::array<int64_t, 4> signature{};
  std::vector<int8_t> offsets;

  // As text without spaces: what zlib leaves of it, in base64.
  std::string OffsetsText() const;
  // Throws kBadInput beginning with `where`; rows and columns are set.
  void ReadOffsets(std::string_view text, const std::string& where);
  friend bool operator==(const Rounding&, const Rounding&) = default;
};

// Sums of codes with signs that are random but always the same. Codes that
// differ here and there by one give nearly the same.
std::array<int64_t, 4> SignatureOf(std::span<const int8_t> nearest);
bool SameCodes(const std::array<int64_t, 4>& a,
               const std::array<int64_t, 4>& b);

// Second moments of the inputs of each site (calibration.h), not centred.
class Moments {
 public:
  // values [rows][channels].
  void See(std::string_view site, std::span<const float> values,
           size_t channels, ThreadPool& pool);
  // [channels][channels], of which the part with column <= row is filled.
  // Empty where nothing was seen.
  std::span<const float> Of(std::string_view site) const;

 private:
  std::map<std::string, std::vector<float>, std::less<>> sums_;
};

// A matrix before rounding. codes: weights in steps of their rows' scales,
// [rows][columns]; steps: of the columns' inputs.
struct Unrounded {
  std::string name;
  std::string site;  // of its inputs
  int rows = 0;
  int columns = 0;
  std::vector<float> codes;
  std::vector<float> steps;

  int8_t Nearest(size_t at) const;
};

// moments: as Moments::Of gives them, of the inputs of `matrix`.
Rounding RoundTogether(const Unrounded& matrix, std::span<const float> moments,
                       ThreadPool& pool);

// Sets `calibration->roundings` for all matrices whose inputs were seen.
// done(matrices, of all) is called after each.
void FindRoundings(const EncoderShape& shape, const WeightReader& weights,
                   const Moments& moments, ThreadPool& pool,
                   FunctionRef<void(int, int)> done, Calibration* calibration);

}  // namespace sotto::npu
