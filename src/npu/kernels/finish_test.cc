// SPDX-License-Identifier: MIT
// The epilogues: fixed point against plain 64-bit integers, and what it stands
// for against doubles.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "npu/kernels/elementary.h"
#include "npu/kernels/finish_params.h"
#include "npu/kernels/kernel_testing.h"

namespace sotto::npu {
namespace {

// x 2^-shift to nearest even, saturated to `bits`.
int64_t Narrowed(__int128 x, int shift, int bits) {
  const __int128 unit = static_cast<__int128>(1) << shift;
  __int128 whole = x / unit;
  if (x % unit < 0) --whole;
  const __int128 twice = 2 * (x - whole * unit);
  if (twice > unit || (twice == unit && whole % 2 != 0)) ++whole;
  const __int128 limit = static_cast<__int128>(1) << (bits - 1);
  return static_cast<int64_t>(std::clamp<__int128>(whole, -limit, limit - 1));
}

// Values where narrowing to `bits` by `shift` rounds, ties and saturates.
template <typename Lane>
std::vector<Lane> Edges(int shift, int bits, std::mt19937_64* random) {
  using Limits = std::numeric_limits<Lane>;
  std::vector<Lane> out{Limits::min(), Limits::min() + 1, Limits::max(),
                        Limits::max() - 1, 0};
  const auto add = [&](__int128 x) {
    out.push_back(static_cast<Lane>(
        std::clamp<__int128>(x, Limits::min(), Limits::max())));
  };
  for (const int64_t whole : {int64_t{1} << (bits - 1), int64_t{1},
                              static_cast<int64_t>((*random)() >> 33)})
    for (const int sign : {-1, 1})
      for (int d = -2; d <= 2; ++d) {
        // Around a whole number and around a tie.
        const __int128 unit = static_cast<__int128>(1) << shift;
        add(sign * whole * unit + d);
        add(sign * whole * unit + unit / 2 + d);
      }
  while (out.size() % 16 != 0) add(static_cast<Lane>((*random)()));
  return out;
}

template <typename T, typename Tag>
void CheckNarrowing(int most_shift) {
  using Lane = typename Tag::Lane;
  std::mt19937_64 random(1);
  vec::set_rounding(vec::rounding_mode::conv_even);
  vec::set_saturation(vec::saturation_mode::saturate);
  for (int shift = 0; shift <= most_shift; ++shift) {
    const auto x = Edges<Lane>(shift, 8 * sizeof(T), &random);
    for (size_t i = 0; i < x.size(); i += 16) {
      vec::accum<Tag, 16> acc;
      std::memcpy(&acc.native, &x[i], sizeof acc.native);
      const auto got = acc.template to_vector<T>(shift);
      for (unsigned lane = 0; lane < 16; ++lane)
        ASSERT_EQ(got.get(lane), Narrowed(x[i + lane], shift, 8 * sizeof(T)))
            << x[i + lane] << " by " << shift;
    }
  }
  vec::set_rounding(vec::rounding_mode::floor);
  vec::set_saturation(vec::saturation_mode::none);
}

TEST(NpuKernels, NarrowingIsExactWhereItTiesAndSaturates) {
  CheckNarrowing<int8_t, vec::acc32>(31);
  CheckNarrowing<int16_t, vec::acc32>(31);
  CheckNarrowing<int32_t, vec::acc32>(31);
  CheckNarrowing<int16_t, vec::acc64>(62);
  CheckNarrowing<int32_t, vec::acc64>(62);
}

TEST(NpuKernels, Int16SumsWrapAndProductsDoNot) {
  std::mt19937_64 random(2);
  for (int trial = 0; trial < 100; ++trial) {
    vec::vector<int16_t, 32> a, b;
    vec::vector<int32_t, 16> wide;
    vec::accum<vec::acc64, 16> start;
    for (unsigned i = 0; i < 32; ++i) {
      a.set(i < 2 ? INT16_MIN : static_cast<int16_t>(random()), i);
      b.set(i < 1 ? INT16_MIN : static_cast<int16_t>(random()), i);
    }
    for (unsigned i = 0; i < 16; ++i) {
      wide.set(i < 1 ? INT32_MIN : static_cast<int32_t>(random()), i);
      start.native[i] = static_cast<int64_t>(random()) >> 2;
    }
    const auto sum = vec::add(a, b);
    const auto rest = vec::sub(a, b);
    const auto product = vec::mul(a, b).to_vector<int32_t>();
    const auto half = b.extract<16>(0);
    const auto long_sum = vec::mac(start, wide, half);
    for (unsigned i = 0; i < 32; ++i) {
      ASSERT_EQ(sum.get(i), static_cast<int16_t>(a.get(i) + b.get(i)));
      ASSERT_EQ(rest.get(i), static_cast<int16_t>(a.get(i) - b.get(i)));
      ASSERT_EQ(product.get(i), a.get(i) * b.get(i));
    }
    for (unsigned i = 0; i < 16; ++i)
      ASSERT_EQ(long_sum.native[i],
                start.native[i] + int64_t{wide.get(i)} * half.get(i));
  }
}

TEST(NpuKernels, K9NegativeTailIsGelusForAllInt16) {
  vec::set_rounding(vec::rounding_mode::conv_even);
  vec::set_saturation(vec::saturation_mode::saturate);
  double worst = 0;
  for (int from = -32768; from < 32768; from += 32) {
    Shorts x = Short32(0);
    for (int i = 0; i < 32; ++i)
      x.set(static_cast<int16_t>(from + i), static_cast<unsigned>(i));
    const auto got = NegativeTail(x).to_vector<int32_t>();
    for (int i = 0; i < 32; ++i) {
      const double value = std::ldexp(from + i, -kTailInBits);
      const double want = ExactGelu(value) - std::max(value, 0.0);
      const double is =
          std::ldexp(got.get(static_cast<unsigned>(i)), -kTailOutBits);
      EXPECT_LE(is, 0);
      worst = std::max(worst, std::abs(is - want));
    }
  }
  vec::set_rounding(vec::rounding_mode::floor);
  vec::set_saturation(vec::saturation_mode::none);
  EXPECT_LE(worst, 2.0e-4);
}

// --- finish_i8 --------------------------------------------------------------

constexpr int kGelu = kFinishGelu;
constexpr int kModes[] = {0,
                          kGelu,
                          kFinishInt8,
                          kFinishInt8 | kGelu,
                          kFinishInt16 | kGelu,
                          kFinishResidual,
                          kFinishResidual | kGelu};

constexpr int kCodes = kFinishInt8 | kFinishInt16;
double LeastCode(int mode) { return (mode & kFinishInt16) != 0 ? -2048 : -128; }
double MostCode(int mode) { return -1 - LeastCode(mode); }

struct Product {
  int m, n;
  std::vector<FinishChannel> channels;
  std::vector<FinishColumn> columns;
  std::vector<int32_t> sums;  // blocked
  Bf16s residual;             // blocked
  const FinishChannel& channel(size_t at) const {
    return channels[Channel(at)];
  }
  size_t Channel(size_t at) const {
    return at / 32 % static_cast<size_t>(n / 8) * 8 + at % 8;
  }
  const FinishColumn& column(size_t at) const {
    return columns[Channel(at) / 8];
  }
};

// Sums of a trained product's size, some of them as far out as they may be.
Product RandomProduct(int m, int n, int mode, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<double> normal;
  Product p{.m = m, .n = n};
  for (int i = 0; i < n; ++i) {
    FinishChannel c;
    c.reach = 128.0 * 127 * 512;
    // Channels of a column differ by up to 2^5, as Whisper's do.
    c.multiplier = std::exp2(normal(random)) * 2e-5;
    c.bias = normal(random);
    if ((mode & kCodes) != 0) {
      c.scale = -LeastCode(mode) / 3 * std::exp2(normal(random));
      if ((mode & kGelu) != 0)
        c.zero = static_cast<int>(std::nearbyint(c.scale * kGeluDepth) +
                                  LeastCode(mode));
    }
    p.channels.push_back(c);
  }
  for (int i = 0; i < n; i += 8) {
    std::array<FinishChannel, 8> eight;
    std::copy_n(p.channels.begin() + i, 8, eight.begin());
    p.columns.push_back(MakeFinishColumn(eight, mode));
  }
  const size_t size = static_cast<size_t>(m) * n;
  for (size_t at = 0; at < size; ++at) {
    const FinishChannel& c = p.channel(at);
    const double far = random() % 16 == 0 ? c.reach : 1.5 / c.multiplier;
    p.sums.push_back(static_cast<int32_t>(
        std::clamp(normal(random) * far, -c.reach, c.reach)));
  }
  p.residual = ToBf16s(RandomFloats(size, seed + 1));
  return p;
}

// Blocks of 4x4 to rows.
std::vector<uint16_t> FromWide(const std::vector<uint16_t>& x, int m, int n) {
  std::vector<uint16_t> out(x.size());
  for (int i = 0; i < m; ++i)
    for (int j = 0; j < n; ++j)
      out[static_cast<size_t>(i * n + j)] = x[Blocked(i, j, n, 4, 4)];
  return out;
}

// Codes of int8 or int16, or bf16.
std::vector<uint16_t> Finish(const Product& p, int mode) {
  std::vector<int32_t> sums = p.sums;
  Bf16s out = p.residual;
  Call("finish_i8", {sums.data(), p.columns.data(), out.data(), out.data()},
       {p.m, p.n, mode});
  // int16 has bf16's size; back to the sums' blocks.
  if ((mode & kFinishInt16) != 0)
    return ToBlocks(FromWide(out, p.m, p.n), p.m, p.n);
  if ((mode & kFinishInt8) == 0) return out;
  std::vector<uint16_t> codes;
  for (size_t i = 0; i < p.sums.size(); ++i)
    codes.push_back(static_cast<uint16_t>(
        static_cast<int16_t>(reinterpret_cast<const int8_t*>(out.data())[i])));
  return codes;
}

int64_t TailOf(int64_t x) {
  const int64_t n = -std::abs(x);
  int64_t r = Narrowed(-21263 * (1LL << 16) - 22399 * n, 16, 16);
  r = Narrowed(11354 * (1LL << 15) + r * n, 15, 16);
  r = Narrowed(30022 * (1LL << 15) + r * n, 15, 16);
  for (const int shift : {15, 15, 14}) r = Narrowed(r * r, shift, 16);
  return r * n;
}

uint16_t Expected(const Product& p, size_t at, int mode) {
  const FinishColumn& c = p.column(at);
  const auto lane = p.Channel(at) % 8;
  int64_t sum = p.sums[at];
  const auto scaled = [&] {
    const int64_t x = c.bias[lane] + Narrowed(sum, c.sums, 16) * c.factor[lane];
    EXPECT_LE(std::abs(x), INT32_MAX);
    return x;
  };
  if ((mode & kGelu) != 0) {
    const int64_t x = scaled();
    sum = std::max<int64_t>(Narrowed(x, c.x, 16), 0) +
          Narrowed(TailOf(Narrowed(x, c.tail_in, 16)), c.tail_out, 16);
  }
  if ((mode & kCodes) != 0) {
    const int64_t code =
        (mode & kGelu) != 0
            ? c.zero[lane] * (int64_t{1} << c.out) + sum * c.step[lane]
            : scaled();
    EXPECT_LE(std::abs(code), INT32_MAX);
    return static_cast<uint16_t>(
        (mode & kFinishInt8) != 0
            ? Narrowed(code, c.out, 8)
            : std::clamp<int64_t>(Narrowed(code, c.out, 16), -2048, 2047));
  }
  const int64_t steps = (mode & kGelu) != 0
                            ? sum * c.step[lane]
                            : Narrowed(c.bias[lane] * (int64_t{1} << c.out) +
                                           sum * c.factor[lane],
                                       c.out, 32);
  EXPECT_LT(std::abs(steps), 1 << 22);
  float value =
      static_cast<float>(std::ldexp(static_cast<double>(steps), -c.point));
  if ((mode & kFinishResidual) != 0)
    value += static_cast<float>(FromBf16(p.residual[at]));
  return NearestBf16(value);
}

TEST(NpuKernels, FinishInt8IsPlainIntegerArithmeticAtEveryVectorWidth) {
  for (const int mode : kModes)
    for (const auto& [m, n] : {std::pair{64, 64}, {8, 8}, {40, 24}}) {
      const Product p = RandomProduct(m, n, mode, 5 + static_cast<uint64_t>(m));
      for (int level = 0; level <= 2; ++level) {
        vec::SetHostLevel(level);
        const auto got = Finish(p, mode);
        for (size_t at = 0; at < got.size(); ++at)
          ASSERT_EQ(got[at], Expected(p, at, mode))
              << at << " mode " << mode << " level " << level;
      }
    }
  vec::SetHostLevel(2);
}

// By how much the channels of a column differ: what they lose together.
double Spread(const Product& p, size_t at) {
  double least = 1e300, largest = 0;
  const size_t first = p.Channel(at) / 8 * 8;
  for (size_t i = first; i < first + 8; ++i) {
    const double codes = p.channels[i].multiplier * p.channels[i].scale;
    least = std::min(least, codes);
    largest = std::max(largest, codes);
  }
  return largest / least;
}

// A code within what 16 bits of a column's range leave, a value to bf16's last
// bit; after GELU within its 2.0e-4 and a step of the range that sums may have.
TEST(NpuKernels, FinishInt8ScalesAddsAndNarrows) {
  for (const int mode : kModes) {
    const Product p = RandomProduct(64, 64, mode, 9);
    const auto got = Finish(p, mode);
    for (size_t at = 0; at < got.size(); ++at) {
      const FinishChannel& c = p.channel(at);
      const double sum = p.sums[at] * c.multiplier + c.bias;
      const double want = (mode & kGelu) != 0 ? ExactGelu(sum) : sum;
      if ((mode & kCodes) != 0) {
        const double code = std::clamp(want * c.scale + c.zero, LeastCode(mode),
                                       MostCode(mode));
        ASSERT_NEAR(static_cast<int16_t>(got[at]), code,
                    0.5 - LeastCode(mode) * 0x1p-13 * Spread(p, at) +
                        ((mode & kGelu) != 0 ? 2e-4 * c.scale : 0))
            << at << " mode " << mode;
        continue;
      }
      const double added =
          (mode & kFinishResidual) != 0 ? FromBf16(p.residual[at]) : 0;
      const double range = c.reach * c.multiplier + std::abs(c.bias);
      // The multiplier's 15 bits, less those by which another is larger.
      double slack = 0x1p-15 * Spread(p, at) * std::abs(sum - c.bias);
      if ((mode & kGelu) != 0) slack += 2e-4 + 0x1p-10 * range;
      ASSERT_NEAR(FromBf16(got[at]), want + added,
                  0.5 * Bf16Step(want + added) * 1.01 + slack + 0x1p-18 * range)
          << at << " mode " << mode;
    }
  }
}

// What no trained channel is: none of it overflows, none of it spoils others.
TEST(NpuKernels, FinishColumnsOfOddChannels) {
  const FinishChannel odd[] = {
      {.multiplier = 1, .bias = 0.3, .reach = 0},
      {.multiplier = 1e-12, .bias = 3, .reach = 1e6},
      {.multiplier = 1e-5, .bias = 4000, .reach = 8e6},
      {.multiplier = 3, .bias = -50, .reach = 8e6},
      {.multiplier = 1e-5, .bias = 0, .reach = 8e6, .scale = 1e6},
      {.multiplier = 1e-5, .bias = 0, .reach = 8e6, .scale = 1e-4}};
  for (const int mode : kModes)
    for (const FinishChannel& one : odd) {
      Product p = RandomProduct(8, 8, mode, 11);
      const bool narrow = (mode & kCodes) != 0;
      std::array<FinishChannel, 8> eight;
      eight.fill(one);
      if (!narrow)
        for (FinishChannel& c : eight) c.scale = 1;
      p.columns = {MakeFinishColumn(eight, mode)};
      p.channels.assign(eight.begin(), eight.end());
      for (int32_t& sum : p.sums)
        sum = static_cast<int32_t>(
            std::clamp<double>(sum, -one.reach, one.reach));
      const auto got = Finish(p, mode);
      for (size_t at = 0; at < got.size(); ++at) {
        ASSERT_EQ(got[at], Expected(p, at, mode)) << at << " mode " << mode;
        const double value = p.sums[at] * one.multiplier + one.bias;
        double want = (mode & kGelu) != 0 ? ExactGelu(value) : value;
        if (!narrow) {
          if ((mode & kFinishResidual) != 0) want += FromBf16(p.residual[at]);
          const double range = one.reach * one.multiplier + std::abs(one.bias);
          ASSERT_NEAR(
              FromBf16(got[at]), want,
              Bf16Step(want) + ((mode & kGelu) != 0 ? 2e-4 + 0x1p-13 * range
                                                    : 0x1p-18 * range))
              << at << " mode " << mode;
          continue;
        }
        want = std::clamp(want * one.scale, LeastCode(mode), MostCode(mode));
        // GELU's own error in codes, up to any.
        ASSERT_NEAR(static_cast<int16_t>(got[at]), want,
                    0.6 + ((mode & kGelu) != 0 ? 4e-4 * one.scale : 0))
            << at << " mode " << mode;
      }
    }
  // No channel: none of any sum.
  Product p = RandomProduct(8, 8, kFinishInt8, 13);
  p.columns = {FinishColumn{}};
  for (const int mode : kModes) {
    const auto got = Finish(p, mode);
    for (size_t at = 0; at < got.size(); ++at)
      ASSERT_EQ(got[at], (mode & kFinishResidual) != 0 ? p.residual[at] : 0)
          << mode;
  }
}

// --- finish_bf16 ------------------------------------------------------------

TEST(NpuKernels, FinishBf16AddsAndNarrows) {
  const int m = 8, n = 48;
  const std::vector<float> acc = RandomFloats(m * n, 15, 2.0F);
  const std::vector<float> bias = RandomFloats(n, 16);
  const Bf16s residual = ToBf16s(RandomFloats(m * n, 17));
  for (const int mode : kModes) {
    if ((mode & kCodes) != 0) continue;
    Bf16s got = residual;
    Call("finish_bf16", {acc.data(), bias.data(), got.data(), got.data()},
         {m, n, mode});
    for (int i = 0; i < m; ++i)
      for (int j = 0; j < n; ++j) {
        const size_t at = Blocked(i, j, n, 4, 8);
        double want = acc[Blocked(i, j, n, 4, 4)] + bias[j];
        double slack = 0x1p-22 * (std::abs(want) + std::abs(bias[j]));
        if ((mode & kGelu) != 0) {
          slack += Bf16Step(ExactGelu(want)) * 1.5 + Bf16Step(want) / 2;
          want = ExactGelu(want);
        }
        if ((mode & kFinishResidual) != 0) want += FromBf16(residual[at]);
        ASSERT_NEAR(FromBf16(got[at]), want, 0.5 * Bf16Step(want) + slack)
            << mode;
      }
  }
}

}  // namespace
}  // namespace sotto::npu
