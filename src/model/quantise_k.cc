// SPDX-License-Identifier: MIT
// ggml's K types: 256 values under one half-precision scale, cut into groups
// with small integer scales of their own. Scales are found so: try a few
// steps around the one that just covers the group, fit scale and offset to
// each rounding by least squares, keep the one with the least squared error.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "model/quantise.h"
#include "tensor/half.h"

namespace sotto::quantise_internal {
namespace {

constexpr int kSuper = 256;

void PutHalf(std::byte* out, float value) {
  const F16 half = ToF16(value);
  std::memcpy(out, &half, sizeof(half));
}

int Round(float value) { return static_cast<int>(std::lrint(value)); }

// A group as value = scale * q - min, q in [0, most], scale and min >= 0.
struct Fit {
  float scale = 0;
  float min = 0;
};

// Sums over a group are kept in eight lanes, which the compiler turns into
// vectors; the order of additions is part of the result and stays the same on
// every machine.
constexpr int kLanes = 8;

float Sum(const std::array<float, kLanes>& lanes) {
  return ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6])) +
         ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]));
}

// Nearest integer of |value| < 2^22, ties to even, without leaving float.
float Nearest(float value) {
  constexpr float kMagic = 12582912.0f;  // 1.5 * 2^23
  return (value + kMagic) - kMagic;
}

float Quant(float value, float most) {
  return Nearest(std::min(std::max(value, 0.0f), most));
}

// The best scale and minimum for the rounding that `inverse` gives: the
// normal equations of a line, its offset held at or below 0 as the format
// wants.
Fit LeastSquares(const float* x, float min, float inverse, float most) {
  std::array<float, kLanes> q1{}, q2{}, x1{}, xq{};
  for (int i = 0; i < 32; i += kLanes) {
    for (size_t l = 0; l < kLanes; ++l) {
      const float v = x[i + static_cast<int>(l)];
      const float q = Quant((v - min) * inverse, most);
      q1[l] += q;
      q2[l] += q * q;
      x1[l] += v;
      xq[l] += v * q;
    }
  }
  const float sq = Sum(q1), sqq = Sum(q2), sx = Sum(x1), sxq = Sum(xq);
  const float determinant = 32 * sqq - sq * sq;
  if (determinant <= 0) return {};
  const float offset = (sqq * sx - sq * sxq) / determinant;
  if (offset > 0) return {sxq / sqq, 0};
  return {(32 * sxq - sq * sx) / determinant, -offset};
}

float ErrorOf(const float* x, Fit fit, float most) {
  const float inverse = fit.scale > 0 ? 1 / fit.scale : 0;
  std::array<float, kLanes> error{};
  for (int i = 0; i < 32; i += kLanes) {
    for (size_t l = 0; l < kLanes; ++l) {
      const float v = x[i + static_cast<int>(l)];
      const float q = Quant((v + fit.min) * inverse, most);
      const float miss = fit.scale * q - fit.min - v;
      error[l] += miss * miss;
    }
  }
  return Sum(error);
}

Fit FitGroup(const float* x, int most_integer) {
  const auto most = static_cast<float>(most_integer);
  const auto [low, high] = std::minmax_element(x, x + 32);
  const float min = std::min(0.0f, *low);
  const float range = *high - min;
  if (range <= 0) return {0, -min};
  Fit best{range / most, -min};
  float least = ErrorOf(x, best, most);
  for (int step = -8; step <= 8; ++step) {
    const float inverse = (most + 0.125f * static_cast<float>(step)) / range;
    const Fit fit = LeastSquares(x, min, inverse, most);
    if (fit.scale <= 0) continue;
    const float error = ErrorOf(x, fit, most);
    if (error >= least) continue;
    least = error;
    best = fit;
  }
  return best;
}

// Scales and minima of eight groups in six bits each, as 12 bytes.
void PackScales(const std::array<int, 8>& scales,
                const std::array<int, 8>& mins, std::byte* out) {
  for (size_t j = 0; j < 4; ++j) {
    const auto s0 = static_cast<unsigned>(scales[j]);
    const auto m0 = static_cast<unsigned>(mins[j]);
    const auto s1 = static_cast<unsigned>(scales[j + 4]);
    const auto m1 = static_cast<unsigned>(mins[j + 4]);
    out[j] = static_cast<std::byte>(s0 | ((s1 >> 4) << 6));
    out[j + 4] = static_cast<std::byte>(m0 | ((m1 >> 4) << 6));
    out[j + 8] = static_cast<std::byte>((s1 & 15u) | ((m1 & 15u) << 4));
  }
}

// Eight groups of 32 in [0, most]: writes d, dmin and scales (16 bytes),
// returns the integers of the values.
std::array<int, kSuper> SuperBlock(const float* x, int most, std::byte* out) {
  std::array<Fit, 8> fits;
  float max_scale = 0, max_min = 0;
  for (size_t g = 0; g < 8; ++g) {
    fits[g] = FitGroup(x + 32 * g, most);
    max_scale = std::max(max_scale, fits[g].scale);
    max_min = std::max(max_min, fits[g].min);
  }
  const F16 d16 = ToF16(max_scale / 63), dmin16 = ToF16(max_min / 63);
  const float d = ToFloat(d16), dmin = ToFloat(dmin16);
  std::array<int, 8> scales{}, mins{};
  std::array<int, kSuper> q{};
  for (size_t g = 0; g < 8; ++g) {
    if (d > 0) scales[g] = std::clamp(Round(fits[g].scale / d), 0, 63);
    if (dmin > 0) mins[g] = std::clamp(Round(fits[g].min / dmin), 0, 63);
    const float scale = d * static_cast<float>(scales[g]);
    const float min = dmin * static_cast<float>(mins[g]);
    if (scale == 0) continue;
    for (size_t i = 32 * g; i < 32 * (g + 1); ++i)
      q[i] = std::clamp(Round((x[i] + min) / scale), 0, most);
  }
  PutHalf(out, d);
  PutHalf(out + 2, dmin);
  PackScales(scales, mins, out + 4);
  return q;
}

// A group of 16 as value = scale * q, q in [-32, 31]; the scale's sign is
// that which lets the largest magnitude use -32.
float FitSigned(const float* x) {
  float extreme = 0;
  for (int i = 0; i < 16; ++i)
    if (std::fabs(x[i]) > std::fabs(extreme)) extreme = x[i];
  if (std::fabs(extreme) < 1e-15f) return 0;
  float best = 0, most = -1;
  for (int step = -8; step <= 8; ++step) {
    const float inverse = -(32 + 0.125f * static_cast<float>(step)) / extreme;
    std::array<float, kLanes> xq{}, qq{};
    for (int i = 0; i < 16; i += kLanes) {
      for (size_t l = 0; l < kLanes; ++l) {
        const float v = x[i + static_cast<int>(l)];
        const float q = Nearest(std::min(std::max(v * inverse, -32.0f), 31.0f));
        xq[l] += v * q;
        qq[l] += q * q;
      }
    }
    const float a = Sum(xq), b = Sum(qq);
    // With the best scale a / b the squared error falls by a^2 / b.
    if (b <= 0 || a * a / b <= most) continue;
    most = a * a / b;
    best = a / b;
  }
  return best;
}

}  // namespace

void BlockQ4_K(const float* x, std::byte* out) {
  const auto q = SuperBlock(x, 15, out);
  for (size_t pair = 0; pair < 4; ++pair)
    for (size_t l = 0; l < 32; ++l)
      out[16 + 32 * pair + l] = static_cast<std::byte>(
          q[64 * pair + l] | (q[64 * pair + 32 + l] << 4));
}

void BlockQ5_K(const float* x, std::byte* out) {
  const auto q = SuperBlock(x, 31, out);
  std::array<unsigned, 32> high{};
  for (size_t pair = 0; pair < 4; ++pair) {
    for (size_t l = 0; l < 32; ++l) {
      const auto a = static_cast<unsigned>(q[64 * pair + l]);
      const auto b = static_cast<unsigned>(q[64 * pair + 32 + l]);
      out[48 + 32 * pair + l] =
          static_cast<std::byte>((a & 15u) | ((b & 15u) << 4));
      high[l] |= (a >> 4) << (2 * pair) | (b >> 4) << (2 * pair + 1);
    }
  }
  for (size_t l = 0; l < 32; ++l) out[16 + l] = static_cast<std::byte>(high[l]);
}

void BlockQ6_K(const float* x, std::byte* out) {
  std::array<float, 16> fits{};
  float extreme = 0;
  for (size_t g = 0; g < 16; ++g) {
    fits[g] = FitSigned(x + 16 * g);
    if (std::fabs(fits[g]) > std::fabs(extreme)) extreme = fits[g];
  }
  // Group scales are int8; the largest takes -128.
  const float d = ToFloat(ToF16(extreme / -128));
  std::array<unsigned, kSuper> q{};
  for (size_t g = 0; g < 16; ++g) {
    const int scale = d == 0 ? 0 : std::clamp(Round(fits[g] / d), -128, 127);
    out[192 + g] = static_cast<std::byte>(scale);
    const float step = d * static_cast<float>(scale);
    for (size_t i = 16 * g; i < 16 * (g + 1); ++i)
      q[i] = static_cast<unsigned>(
          32 + (step == 0 ? 0 : std::clamp(Round(x[i] / step), -32, 31)));
  }
  PutHalf(out + 208, d);
  for (size_t half = 0; half < 2; ++half) {
    const unsigned* v = q.data() + 128 * half;
    for (size_t l = 0; l < 32; ++l) {
      out[64 * half + l] =
          static_cast<std::byte>((v[l] & 15u) | ((v[l + 64] & 15u) << 4));
      out[64 * half + 32 + l] =
          static_cast<std::byte>((v[l + 32] & 15u) | ((v[l + 96] & 15u) << 4));
      out[128 + 32 * half + l] =
          static_cast<std::byte>((v[l] >> 4) | (v[l + 32] >> 4) << 2 |
                                 (v[l + 64] >> 4) << 4 | (v[l + 96] >> 4) << 6);
    }
  }
}

}  // namespace sotto::quantise_internal
