// SPDX-License-Identifier: MIT
#include "npu/kernels/finish_params.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "npu/kernels/elementary.h"

namespace sotto::npu {
namespace {

using Channels = std::array<FinishChannel, 8>;
constexpr double kMostShort = 32767;
constexpr double kMostBias = (1 << 30) - 1;  // beside a product of two int16
// Nothing that is narrowed is further from 0 than this many codes of int8.
constexpr double kMostCode = 129;
// A float of 1.5 2^23 steps has room for twice as many more or less.
constexpr double kMostSteps = 1 << 21;

// The largest shift up to `most` with value 2^shift at most `limit`.
int ShiftTo(double value, double limit, int most) {
  if (value <= 0) return most;
  const int shift =
      std::min(most, static_cast<int>(std::floor(std::log2(limit / value))));
  return std::lround(std::ldexp(value, shift)) > std::lround(limit) ? shift - 1
                                                                    : shift;
}
int16_t ToShort(double value) {
  return static_cast<int16_t>(
      std::clamp(std::nearbyint(value), -kMostShort, kMostShort));
}
template <typename Of>
double Largest(const Channels& channels, const Of& of) {
  double largest = 0;
  for (const FinishChannel& c : channels) largest = std::max(largest, of(c));
  return largest;
}

// Of a value.
double Reach(const FinishChannel& c) {
  return c.reach * c.multiplier + std::abs(c.bias);
}

// v's step, so that it holds the sums of each channel whose values, bias
// included, are below wanted(channel): beyond that it may saturate.
template <typename Wanted>
void SetSums(const Channels& channels, const Wanted& wanted,
             FinishColumn* out) {
  const double reach = Largest(channels, [&](const FinishChannel& c) {
    return std::min(c.reach, (wanted(c) + std::abs(c.bias)) / c.multiplier);
  });
  out->sums = static_cast<int8_t>(std::max(-ShiftTo(reach, kMostShort, 0), 0));
}

// Factors and biases of value scale(channel); returns the bits of fraction that
// their sums have: at least `least`, else as many as both have room for, or
// `most`.
template <typename Scale>
int SetFactors(const Channels& channels, const Scale& scale, int least,
               int most, FinishColumn* out) {
  const auto factor = [&](const FinishChannel& c) {
    return std::ldexp(c.multiplier * scale(c), out->sums);
  };
  const double bias = Largest(channels, [&](const FinishChannel& c) {
    return std::abs(c.bias * scale(c));
  });
  const int bits =
      std::max(std::min(ShiftTo(Largest(channels, factor), kMostShort, most),
                        ShiftTo(bias, kMostBias, most)),
               least);
  for (size_t i = 0; i < 8; ++i) {
    const FinishChannel& c = channels[i];
    out->factor[i] = ToShort(std::ldexp(factor(c), bits));
    out->bias[i] = static_cast<int32_t>(
        std::clamp(std::nearbyint(std::ldexp(c.bias * scale(c), bits)),
                   -kMostBias, kMostBias));
  }
  return bits;
}

void Narrow(const Channels& channels, FinishColumn* out) {
  const auto scale = [](const FinishChannel& c) { return c.scale; };
  SetSums(
      channels, [](const FinishChannel& c) { return kMostCode / c.scale; },
      out);
  out->out = static_cast<int8_t>(SetFactors(channels, scale, 0, 30, out));
}

// x in int16, in steps that hold `top` of each channel.
template <typename Top>
void SetGelu(const Channels& channels, const Top& top, FinishColumn* out) {
  const double tail = std::ldexp(kMostShort + 1, -kTailInBits);
  SetSums(
      channels, [&](const FinishChannel& c) { return std::max(top(c), tail); },
      out);
  const double largest = Largest(channels, [&](const FinishChannel& c) {
    return std::min(top(c), Reach(c));
  });
  const int point = std::max(ShiftTo(largest, kMostShort, 15), -60);
  const int bits = SetFactors(
      channels, [](const FinishChannel&) { return 1.0; }, std::max(point, 0),
      30 + std::clamp(point, 0, kTailInBits), out);
  out->point = static_cast<int8_t>(point);
  out->x = static_cast<int8_t>(std::min(bits - point, 31));
  // Where steps are too coarse for either bound there is no tail.
  out->tail_in = static_cast<int8_t>(std::max(bits - kTailInBits, 0));
  out->tail_out = static_cast<int8_t>(std::min(kTailOutBits - point, 31));
}

void NarrowGelu(const Channels& channels, bool wide, FinishColumn* out) {
  // From there on a code is the largest.
  const double most = wide ? kWideCodes + 2 : kMostCode;
  SetGelu(
      channels,
      [=](const FinishChannel& c) { return (most - c.zero) / c.scale; }, out);
  const double scale =
      Largest(channels, [](const FinishChannel& c) { return c.scale; });
  // 2^7 codes of zero, or 2^11, and a product of two int16 fit 32 bits.
  out->out = static_cast<int8_t>(std::max(
      ShiftTo(std::ldexp(scale, -out->point), kMostShort, wide ? 18 : 22), 0));
  for (size_t i = 0; i < 8; ++i) {
    out->step[i] =
        ToShort(std::ldexp(channels[i].scale, out->out - out->point));
    out->zero[i] = ToShort(channels[i].zero);
  }
}

void WidenGelu(const Channels& channels, FinishColumn* out) {
  SetGelu(
      channels,
      [](const FinishChannel& c) { return std::min(Reach(c), c.top); }, out);
  std::fill_n(out->step, 8, int16_t{1});
}

void Widen(const Channels& channels, FinishColumn* out) {
  const double multiplier =
      Largest(channels, [](const FinishChannel& c) { return c.multiplier; });
  const int point =
      std::max(std::min(ShiftTo(Largest(channels, Reach), kMostSteps, 60),
                        ShiftTo(multiplier, kMostShort, 60)),
               -60);
  out->point = static_cast<int8_t>(point);
  // 30: a float's bits shifted as far fit 64.
  out->out = static_cast<int8_t>(
      std::max(ShiftTo(std::ldexp(multiplier, point), kMostShort, 30), 0));
  for (size_t i = 0; i < 8; ++i) {
    out->bias[i] =
        static_cast<int32_t>(std::lround(std::ldexp(channels[i].bias, point)));
    out->factor[i] =
        ToShort(std::ldexp(channels[i].multiplier, point + out->out));
  }
}

}  // namespace

FinishColumn MakeFinishColumn(const Channels& channels, int mode) {
  FinishColumn out{};
  const bool gelu = (mode & kFinishGelu) != 0;
  const bool wide = (mode & kFinishInt16) != 0;
  if (!wide && (mode & kFinishInt8) == 0) {
    gelu ? WidenGelu(channels, &out) : Widen(channels, &out);
  } else {
    gelu ? NarrowGelu(channels, wide, &out) : Narrow(channels, &out);
  }
  return out;
}

}  // namespace sotto::npu
