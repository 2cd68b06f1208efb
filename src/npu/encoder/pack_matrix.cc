// SPDX-License-Identifier: MIT
#include "npu/encoder/pack_matrix.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/error.h"
#include "npu/kernels/finish_params.h"
#include "tensor/half.h"

namespace sotto::npu {
namespace {

// Where element (row of n, row of k) of a 64 x 64 tile lies.
int Int8At(int n, int k) {
  return ((n / 8 * 8 + k / 8) * 8 + k % 8) * 8 + n % 8;
}
int Bf16At(int n, int k) {
  return ((n / 4 * 8 + k / 8) * 8 + k % 8) * 4 + n % 4;
}

// Of a row in int8, the input's steps folded in.
float RowScale(const Dense& m, int i) {
  float largest = 0;
  for (int j = 0; j < m.k; ++j)
    if (m.row(i)[j] != kMarkWeight)
      largest = std::max(largest, std::abs(m.row(i)[j] * m.step[j]));
  float scale = largest > 0 ? largest / 127 : 1;
  return m.least.empty() ? scale : std::max(scale, m.least[i]);
}

// The nearest codes of row `i`.
void RoundRow(const Dense& m, int i, float scale, int8_t* out) {
  for (int j = 0; j < m.k; ++j)
    out[j] = static_cast<int8_t>(std::clamp(
        std::nearbyint(m.row(i)[j] * m.step[j] / scale), -127.0F, 127.0F));
}

struct Int8Matrix {
  std::vector<int8_t> codes;  // [n][k]
  std::vector<float> scales;  // of rows

  std::span<const int8_t> row(int i) const {
    const size_t k = codes.size() / scales.size();
    return std::span(codes).subspan(static_cast<size_t>(i) * k, k);
  }
};

// `rounding` may be null. Throws kBadInput where it was found for another
// matrix.
Int8Matrix RoundMatrix(const Dense& m, const Rounding* rounding) {
  Int8Matrix out;
  out.codes.resize(m.w.size());
  for (int i = 0; i < m.n; ++i) {
    out.scales.push_back(RowScale(m, i));
    RoundRow(m, i, out.scales.back(), out.codes.data() + int64_t{i} * m.k);
  }
  if (rounding == nullptr) return out;
  if (rounding->rows != m.n || rounding->columns != m.k ||
      !SameCodes(rounding->signature, SignatureOf(out.codes)))
    Fail(ErrorCode::kBadInput,
         "npu scales: the rounding of {} is of other weights: run `sotto npu "
         "calibrate` again",
         m.name);
  for (size_t at = 0; at < out.codes.size(); ++at)
    out.codes[at] = static_cast<int8_t>(
        std::clamp(out.codes[at] + rounding->offsets[at], -127, 127));
  return out;
}

// What a row's zeros add to its sum, in steps of the row's scale: what the
// rounded weights make of them, so that nothing of it remains.
double ZeroSum(const Dense& m, std::span<const int8_t> rounded) {
  double sum = 0;
  for (size_t j = 0; j < m.zero.size(); ++j)
    sum += double{m.zero[j]} * rounded[j];
  return sum;
}

// What the epilogue makes of row i's sums; `rounded`: its weights, int8.
FinishChannel ChannelOf(const Dense& m, int i, float scale,
                        std::span<const int8_t> rounded) {
  FinishChannel channel;
  channel.multiplier = double{scale} * m.times[i];
  channel.bias =
      double{m.bias[i]} * m.times[i] - ZeroSum(m, rounded) * channel.multiplier;
  for (const int8_t w : rounded) channel.reach += (m.most + 1) * std::abs(w);
  // GELU that stays bf16 has 15 bits for it. For the largest value all weights
  // would have to agree with their inputs: speech reaches a 16th of that
  // (measured), and its inputs half of their codes.
  channel.top = channel.reach * channel.multiplier / 8;
  channel.scale = m.scale[i];
  if (!m.codes.empty()) channel.zero = static_cast<int>(m.codes[i]);
  return channel;
}

}  // namespace

std::vector<float> Dense::Largest() const {
  std::vector<float> largest(static_cast<size_t>(k));
  for (int i = 0; i < n; ++i)
    for (int j = 0; j < k; ++j)
      largest[j] = std::max(largest[j], std::abs(row(i)[j]));
  return largest;
}

Unrounded WithoutRounding(const Dense& m) {
  Unrounded out{m.name, m.site, m.n, m.k, {}, m.step};
  out.codes.reserve(m.w.size());
  for (int i = 0; i < m.n; ++i) {
    const float scale = RowScale(m, i);
    for (int j = 0; j < m.k; ++j)
      out.codes.push_back(m.row(i)[j] * m.step[j] / scale);
  }
  return out;
}

PackedMatrix PackDense(const Dense& m, const Rounding* rounding) {
  PackedMatrix packed;
  packed.name = m.name;
  packed.precision =
      m.step.empty() ? EncoderPrecision::kBF16 : EncoderPrecision::kInt8;
  packed.k_tiles = m.k / kTile;
  packed.n_tiles = m.n / kTile;
  packed.tiles = sotto::Buffer(static_cast<size_t>(packed.n_tiles) *
                               packed.k_tiles * packed.tile_bytes());
  for (int n = 0; n < packed.n_tiles; ++n)
    packed.modes.push_back(m.later > 0 && n * kTile >= m.later ? m.later_mode
                                                               : m.mode);
  const Int8Matrix rounded =
      packed.int8() ? RoundMatrix(m, rounding) : Int8Matrix{};
  std::array<FinishChannel, 8> eight;
  for (int i = 0; i < m.n; ++i) {
    if (packed.int8()) {
      eight[i % 8] = ChannelOf(m, i, rounded.scales[i], rounded.row(i));
      if (i % 8 == 7)
        packed.columns.push_back(
            MakeFinishColumn(eight, packed.modes[i / kTile]));
    } else {
      packed.biases.push_back(m.bias[i] * m.times[i]);
    }
    for (int j = 0; j < m.k; ++j) {
      std::byte* tile =
          packed.tiles.data() +
          static_cast<size_t>(i / kTile * packed.k_tiles + j / kTile) *
              packed.tile_bytes();
      if (packed.int8())
        reinterpret_cast<int8_t*>(tile)[Int8At(i % kTile, j % kTile)] =
            rounded.row(i)[j];
      else
        reinterpret_cast<BF16*>(tile)[Bf16At(i % kTile, j % kTile)] =
            ToBF16(m.row(i)[j] * m.times[i]);
    }
  }
  return packed;
}

}  // namespace sotto::npu
