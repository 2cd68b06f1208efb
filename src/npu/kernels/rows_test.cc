// SPDX-License-Identifier: MIT
// Row and element kernels against double precision, and the published bf16
// kernels against the figures published for them.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "acceptance_row.h"
#include "npu/kernels/gelu_table.h"
#include "npu/kernels/kernel_testing.h"
#include "npu/kernels/vec.h"

namespace sotto::npu {
namespace {

TEST(NpuKernels, NarrowingRoundsAsTheModeSays) {
  using vec::rounding_mode;
  const auto narrow = [](rounding_mode mode, float x) {
    vec::set_rounding(mode);
    const double out = vec::ToFloat(vec::ToBf16(x));
    vec::set_rounding(rounding_mode::floor);
    return out;
  };
  for (float x : RandomFloats(1000, 1)) {
    const double floor = narrow(rounding_mode::floor, x);
    const double ceil = narrow(rounding_mode::ceil, x);
    EXPECT_LE(floor, x);
    EXPECT_GE(ceil, x);
    EXPECT_LE(ceil - floor, Bf16Step(x) * 1.0001);
    EXPECT_EQ(narrow(rounding_mode::conv_even, x), FromBf16(NearestBf16(x)));
  }
  const float tie = 1.0F + 0x1p-8F;  // between 1 and 1 + 2^-7
  EXPECT_EQ(narrow(rounding_mode::conv_even, tie), 1.0);
  EXPECT_EQ(narrow(rounding_mode::conv_odd, tie), 1.0 + 0x1p-7);
  EXPECT_EQ(narrow(rounding_mode::positive_inf, tie), 1.0 + 0x1p-7);
  EXPECT_EQ(narrow(rounding_mode::positive_inf, -tie), -1.0);
  EXPECT_EQ(narrow(rounding_mode::symmetric_inf, -tie), -1.0 - 0x1p-7);
  EXPECT_EQ(narrow(rounding_mode::symmetric_zero, -tie), -1.0);
  EXPECT_EQ(narrow(rounding_mode::negative_inf, -tie), -1.0 - 0x1p-7);
  const float infinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(narrow(rounding_mode::floor, -infinity), -infinity);
  EXPECT_TRUE(std::isnan(narrow(rounding_mode::conv_even, NAN)));
}

TEST(NpuKernels, ShiftRoundSaturateIsTheDefinition) {
  using vec::rounding_mode;
  std::mt19937_64 random(3);
  const rounding_mode modes[] = {
      rounding_mode::floor,         rounding_mode::ceil,
      rounding_mode::positive_inf,  rounding_mode::negative_inf,
      rounding_mode::symmetric_inf, rounding_mode::symmetric_zero,
      rounding_mode::conv_even,     rounding_mode::conv_odd};
  for (rounding_mode mode : modes) {
    for (int trial = 0; trial < 300; ++trial) {
      const int shift = static_cast<int>(random() % 12);
      vec::vector<int32_t, 16> x = vec::zeros<int32_t, 16>();
      for (unsigned i = 0; i < 16; ++i) {
        x.set(static_cast<int32_t>(random()) >> (8 + random() % 16), i);
      }
      vec::set_rounding(mode);
      vec::set_saturation(vec::saturation_mode::saturate);
      const auto got = vec::accum<vec::acc32, 16>(x).to_vector<int8_t>(shift);
      vec::set_rounding(rounding_mode::floor);
      vec::set_saturation(vec::saturation_mode::none);
      for (unsigned i = 0; i < 16; ++i) {
        const double exact = std::ldexp(x.get(i), -shift);
        const double low = std::floor(exact);
        const double rest = exact - low;
        double want = low;
        const bool odd = std::fmod(std::abs(low), 2) == 1;
        if (mode == rounding_mode::ceil) {
          want = std::ceil(exact);
        } else if (mode != rounding_mode::floor) {
          bool up = rest > 0.5;
          if (rest == 0.5) {
            switch (mode) {
              case rounding_mode::positive_inf:
                up = true;
                break;
              case rounding_mode::negative_inf:
                up = false;
                break;
              case rounding_mode::symmetric_inf:
                up = exact > 0;
                break;
              case rounding_mode::symmetric_zero:
                up = exact < 0;
                break;
              case rounding_mode::conv_even:
                up = odd;
                break;
              default:
                up = !odd;
                break;
            }
          }
          want = low + up;
        }
        ASSERT_EQ(got.get(i), std::clamp(want, -128.0, 127.0))
            << exact << " mode " << static_cast<int>(mode);
      }
    }
  }
}

TEST(NpuKernels, K9GeluTableIsTheNormalTail) {
  for (int i = 0; i < kPhiEntries; ++i) {
    const double t = FromBf16(static_cast<uint16_t>(kPhiFirstBits + i));
    const double want = 0.5 * std::erfc(t * M_SQRT1_2);
    EXPECT_EQ(kPhiBits[i], NearestBf16(want)) << t;
  }
}

TEST(NpuKernels, K9GeluBf16IsWithinTwoStepsEverywhere) {
  // Every bf16 in [-20, 20].
  Bf16s in;
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const double x = FromBf16(static_cast<uint16_t>(bits));
    if (std::abs(x) <= 20) in.push_back(static_cast<uint16_t>(bits));
  }
  in.resize((in.size() + 31) / 32 * 32);
  Bf16s out(in.size());
  Call("gelu_bf16", {in.data(), out.data()}, {static_cast<int>(in.size())});
  double worst = 0;
  for (size_t i = 0; i < in.size(); ++i) {
    const double x = FromBf16(in[i]);
    const double got = FromBf16(out[i]);
    ASSERT_FALSE(std::isnan(got)) << x;
    ASSERT_LE(std::abs(got), std::abs(x)) << x;
    // Below 2^-120 the tail may be anything that small.
    const double step = std::max(Bf16Step(ExactGelu(x)), 0x1p-120);
    worst = std::max(worst, std::abs(got - ExactGelu(x)) / step);
  }
  EXPECT_LE(worst, 2.0);
  ReportRow("K9", fmt::format("worst {:.2f} bf16 steps on [-20, 20]", worst),
            RowTag::kMeasured);
  const Bf16s six(32, NearestBf16(6));
  Bf16s of_six(32);
  Call("gelu_bf16", {six.data(), of_six.data()}, {32});
  EXPECT_EQ(FromBf16(of_six[0]), 6.0);
}

TEST(NpuKernels, K9CompatGeluOvershootsAsPublished) {
  Bf16s in(1024), out(1024);
  for (int i = 0; i < 1024; ++i) in[i] = NearestBf16(-8 + i / 64.0);
  in[0] = NearestBf16(6.0);
  Call("gelu_bf16_1024", {in.data(), out.data()});
  EXPECT_NEAR(FromBf16(out[0]), 7.79, 0.04);
  for (int i = 0; i < 1024; ++i) {
    const double x = FromBf16(in[i]);
    if (std::abs(x) >= 1) continue;
    EXPECT_NEAR(FromBf16(out[i]), ExactGelu(x), 0.02);
  }
}

TEST(NpuKernels, K8ScaledGeluIsWithinOneStepOfTheScale) {
  double worst = 0;
  for (const float scale : {10.0F / 127, 4.0F / 127, 0.5F / 127}) {
    const float out_scale = scale;
    std::vector<int8_t> in(256), out(256);
    for (int i = 0; i < 256; ++i) in[i] = static_cast<int8_t>(i - 128);
    Call("gelu_scaled_i8", {in.data(), out.data()},
         {256, std::bit_cast<int32_t>(scale),
          std::bit_cast<int32_t>(1 / out_scale)});
    for (int i = 0; i < 256; ++i) {
      const double want =
          std::clamp(ExactGelu(in[i] * double{scale}) / out_scale, -128., 127.);
      EXPECT_LE(std::abs(out[i] - want), 1.0) << i - 128 << " " << scale;
      worst = std::max(worst, std::abs(out[i] - want));
    }
  }
  ReportRow("K8", fmt::format("with scales within {:.2f} steps", worst),
            RowTag::kMeasured);
}

// --- LayerNorm --------------------------------------------------------------

struct NormCase {
  int rows, width;
  Bf16s x;                    // row-major
  std::vector<float> params;  // gamma, beta
};
NormCase RandomNorm(int rows, int width, uint64_t seed) {
  NormCase out{rows, width, {}, RandomFloats(2 * width, seed + 1)};
  std::vector<float> x = RandomFloats(static_cast<size_t>(rows) * width, seed);
  // Rows of different size and mean, a few large channels as Whisper has them.
  for (int i = 0; i < rows; ++i) {
    for (int j = 0; j < width; ++j) {
      float& v = x[static_cast<size_t>(i * width + j)];
      v = v * std::pow(2.0F, static_cast<float>(i % 7 - 3)) + 0.3F;
      if (j % 97 == 5) v *= 12;
    }
  }
  out.x = ToBf16s(x);
  return out;
}
// The value, and what its terms add up to in size.
struct Exact {
  std::vector<double> value, terms;
};
Exact ExactNorm(const NormCase& c) {
  Exact out;
  for (int i = 0; i < c.rows; ++i) {
    double mean = 0, squares = 0;
    for (int j = 0; j < c.width; ++j) mean += FromBf16(c.x[i * c.width + j]);
    mean /= c.width;
    for (int j = 0; j < c.width; ++j) {
      squares += std::pow(FromBf16(c.x[i * c.width + j]) - mean, 2);
    }
    const double root = 1 / std::sqrt(squares / c.width + 1e-5);
    for (int j = 0; j < c.width; ++j) {
      const double z = (FromBf16(c.x[i * c.width + j]) - mean) * root;
      out.value.push_back(z * c.params[j] + c.params[c.width + j]);
      out.terms.push_back(std::abs(z * c.params[j]) +
                          std::abs(c.params[c.width + j]));
    }
  }
  return out;
}

Bf16s SimpleNorm(const NormCase& c) {
  const Bf16s x = ToBlocks(c.x, c.rows, c.width);
  Bf16s out(x.size());
  Call("layer_norm_bf16", {x.data(), c.params.data(), out.data()},
       {c.rows, c.width});
  return FromBlocks(out, c.rows, c.width);
}
// In chunks of `chunk` columns, as the array streams them.
Bf16s StreamedNorm(const NormCase& c, int chunk) {
  std::vector<float> stats(static_cast<size_t>(c.rows) * 16);
  const auto columns = [&](int step) {
    Bf16s tile(static_cast<size_t>(c.rows) * chunk);
    for (int i = 0; i < c.rows; ++i) {
      for (int j = 0; j < chunk; ++j) {
        tile[Blocked(i, j, chunk, 4, 8)] =
            c.x[static_cast<size_t>(i * c.width + step * chunk + j)];
      }
    }
    return tile;
  };
  for (int step = 0; step < c.width / chunk; ++step) {
    const Bf16s tile = columns(step);
    Call("layer_norm_stats", {tile.data(), stats.data()},
         {c.rows, chunk, step, c.width / chunk,
          std::bit_cast<int32_t>(1.0F / static_cast<float>(c.width))});
  }
  Bf16s out(c.x.size());
  for (int step = 0; step < c.width / chunk; ++step) {
    const Bf16s tile = columns(step);
    std::vector<float> params(c.params.begin() + step * chunk,
                              c.params.begin() + (step + 1) * chunk);
    params.insert(params.end(), c.params.begin() + c.width + step * chunk,
                  c.params.begin() + c.width + (step + 1) * chunk);
    Bf16s part(tile.size());
    Call("layer_norm_apply_bf16",
         {tile.data(), stats.data(), params.data(), part.data()},
         {c.rows, chunk});
    for (int i = 0; i < c.rows; ++i) {
      for (int j = 0; j < chunk; ++j) {
        out[static_cast<size_t>(i * c.width + step * chunk + j)] =
            part[Blocked(i, j, chunk, 4, 8)];
      }
    }
  }
  return out;
}

TEST(NpuKernels, K11LayerNormIsWithinOneStep) {
  for (int width : {384, 512, 768, 64}) {
    const NormCase c = RandomNorm(16, width, 100 + width);
    const Exact exact = ExactNorm(c);
    const Bf16s simple = SimpleNorm(c);
    const Bf16s streamed = StreamedNorm(c, 64);
    for (size_t i = 0; i < simple.size(); ++i) {
      const double want = exact.value[i];
      // One step of the value; f32 where gamma's and beta's terms cancel.
      const double allowed = Bf16Step(want) + 0x1p-18 * exact.terms[i];
      ASSERT_NEAR(FromBf16(simple[i]), want, allowed) << width << " at " << i;
      ASSERT_NEAR(FromBf16(streamed[i]), want, allowed) << width << " at " << i;
    }
  }
}

TEST(NpuKernels, K11LayerNormToInt8RoundsTheSameValues) {
  NormCase c = RandomNorm(8, 512, 7);
  const Exact exact = ExactNorm(c);
  const float scale = 0.05F;
  for (float& p : c.params) p /= scale;
  const Bf16s x = ToBlocks(c.x, 8, 512);
  std::vector<int8_t> out(x.size());
  Call("layer_norm_i8", {x.data(), c.params.data(), out.data()}, {8, 512});
  const auto got = FromBlocks(out, 8, 512);
  for (size_t i = 0; i < got.size(); ++i) {
    ASSERT_NEAR(got[i], std::clamp(exact.value[i] / scale, -128.0, 127.0),
                0.5 + 0.001);
  }
  std::vector<float> stats(8 * 16);
  Call("layer_norm_stats", {x.data(), stats.data()},
       {8, 512, 0, 1, std::bit_cast<int32_t>(1.0F / 512)});
  std::vector<int8_t> applied(x.size());
  Call("layer_norm_apply_i8",
       {x.data(), stats.data(), c.params.data(), applied.data()}, {8, 512});
  for (size_t i = 0; i < out.size(); ++i) {
    ASSERT_NEAR(applied[i], out[i], 1);
  }
}

struct Moments {
  double mean, deviation;
};
Moments MomentsOf(const Bf16s& x) {
  double sum = 0, squares = 0;
  for (uint16_t v : x) sum += FromBf16(v);
  const double n = static_cast<double>(x.size());
  for (uint16_t v : x) squares += std::pow(FromBf16(v) - sum / n, 2);
  return {sum / n, std::sqrt(squares / n)};
}

TEST(NpuKernels, K11CompatShowsTheFloorsStatistics) {
  // The mean over many inputs: one input's own is within 0.00009 of it.
  for (const char* name :
       {"layer_norm_bf16_512_nosqrt", "layer_norm_bf16_1024"}) {
    const int n = name == std::string("layer_norm_bf16_1024") ? 1024 : 512;
    double mean = 0, deviation = 0;
    for (uint64_t seed = 0; seed < 200; ++seed) {
      const Bf16s in = ToBf16s(RandomFloats(n, seed));
      Bf16s out(n);
      Call(name, {in.data(), out.data()});
      mean += MomentsOf(out).mean / 200;
      deviation += MomentsOf(out).deviation / 200;
    }
    EXPECT_NEAR(mean, -0.00225, 0.0002) << name;
    EXPECT_NEAR(deviation, 0.9995, 0.0015) << name;
    ReportRow("K11",
              fmt::format("compat of {}: mean {:.5f}, deviation {:.4f}", n,
                          mean, deviation),
              RowTag::kMeasured);
  }
}

// --- softmax ----------------------------------------------------------------

TEST(NpuKernels, K12CompatSoftmaxHasThePublishedErrors) {
  // 1024 logits evenly from -5 to 5, cut to bf16 by their host.
  Bf16s in(1024), out(1024);
  std::vector<double> exact(1024);
  double sum = 0;
  for (int i = 0; i < 1024; ++i) {
    const float x = static_cast<float>(-5.0 + 10.0 * i / 1023);
    in[i] = static_cast<uint16_t>(std::bit_cast<uint32_t>(x) >> 16);
    sum += exact[i] = std::exp(double{x});
  }
  Call("softmax_bf16_1024", {in.data(), out.data()});
  double total = 0, worst = 0, mean = 0;
  for (int i = 0; i < 1024; ++i) {
    const double error = std::abs(FromBf16(out[i]) - exact[i] / sum);
    total += FromBf16(out[i]);
    worst = std::max(worst, error);
    mean += error / 1024;
  }
  EXPECT_NEAR(total, 0.994906, 5e-7);
  EXPECT_NEAR(worst, 0.000372, 5e-7);
  EXPECT_NEAR(mean, 0.000021, 5e-7);
  ReportRow("K12",
            fmt::format("compat of 1024: sum {:.6f}, worst {:.6f}, mean {:.6f}",
                        total, worst, mean),
            RowTag::kMeasured);
  Bf16s four, four_out(4096);
  for (int i = 0; i < 4; ++i) four.insert(four.end(), in.begin(), in.end());
  Call("softmax_bf16_4x1024", {four.data(), four_out.data()});
  EXPECT_TRUE(std::equal(out.begin(), out.end(), four_out.begin() + 3072));
}

TEST(NpuKernels, K12CompatSoftmaxBreaksOnAMaskedKey) {
  Bf16s in(1024, NearestBf16(0)), out(1024);
  in[3] = NearestBf16(-100);
  Call("softmax_bf16_1024", {in.data(), out.data()});
  EXPECT_TRUE(std::any_of(out.begin(), out.end(), [](uint16_t x) {
    return !std::isfinite(FromBf16(x)) || FromBf16(x) < 0;
  }));
}

TEST(NpuKernels, K12SoftmaxIsWithinOneStep) {
  for (int n : {1500, 1024, 16, 17, 1}) {
    for (double spread : {0.1, 2.0, 20.0}) {
      const size_t padded = static_cast<size_t>((n + 15) / 16 * 16);
      Bf16s in = ToBf16s(RandomFloats(padded, n, static_cast<float>(spread)));
      if (n == 1500) in[7] = in[1499] = NearestBf16(-1e4);
      // Whatever stands behind the row is ignored.
      for (size_t i = n; i < padded; ++i) in[i] = NearestBf16(1e5);
      Bf16s out(padded, 1);
      Call("softmax_bf16", {in.data(), out.data()}, {n});
      double best = -1e300, sum = 0, total = 0;
      for (int i = 0; i < n; ++i) best = std::max(best, FromBf16(in[i]));
      for (int i = 0; i < n; ++i) sum += std::exp(FromBf16(in[i]) - best);
      for (int i = 0; i < n; ++i) {
        const double want = std::exp(FromBf16(in[i]) - best) / sum;
        ASSERT_TRUE(std::isfinite(FromBf16(out[i])));
        // Below 2^-120 it may be nothing.
        ASSERT_NEAR(FromBf16(out[i]), want, Bf16Step(want) + 0x1p-120)
            << n << " " << spread << " at " << i;
        total += FromBf16(out[i]);
      }
      EXPECT_NEAR(total, 1.0, 2e-3);
      for (size_t i = n; i < padded; ++i) ASSERT_EQ(out[i], 0);
    }
  }
}

// --- the rest ---------------------------------------------------------------

TEST(NpuKernels, ResidualAndQuantisationRoundToNearestEven) {
  const Bf16s a = ToBf16s(RandomFloats(256, 1)),
              b = ToBf16s(RandomFloats(256, 2));
  Bf16s sum(256);
  Call("add_bf16", {a.data(), b.data(), sum.data()}, {256});
  for (int i = 0; i < 256; ++i) {
    EXPECT_EQ(sum[i], NearestBf16(FromBf16(a[i]) + FromBf16(b[i])));
  }
  std::vector<int8_t> bytes(256);
  const float inverse = 50.0F;
  Call("quantize_bf16_i8", {a.data(), bytes.data()},
       {256, std::bit_cast<int32_t>(inverse)});
  for (int i = 0; i < 256; ++i) {
    EXPECT_EQ(bytes[i], std::clamp(std::nearbyint(FromBf16(a[i]) * inverse),
                                   -128.0, 127.0));
  }
  std::vector<int32_t> sums(256);
  std::mt19937_64 random(4);
  for (int32_t& x : sums) x = static_cast<int32_t>(random() % 200001) - 100000;
  const float multiplier = 0.0011F;
  Call("requantize_i32_i8", {sums.data(), bytes.data()},
       {256, std::bit_cast<int32_t>(multiplier)});
  for (int i = 0; i < 256; ++i) {
    const double want = std::clamp(sums[i] * double{multiplier}, -128.0, 127.0);
    EXPECT_NEAR(bytes[i], want, 0.5 + 0x1p-14 * 128);
  }
  std::vector<int8_t> x = RandomInt8s(64, 5), y = RandomInt8s(64, 6), z(64);
  Call("add_i8", {x.data(), y.data(), z.data()}, {64});
  for (int i = 0; i < 64; ++i)
    EXPECT_EQ(z[i], std::clamp(x[i] + y[i], -128, 127));
}

TEST(NpuKernels, PlainFunctionsAreWithinOneStep) {
  Bf16s in;
  for (float x : RandomFloats(1024, 77, 4.0F)) in.push_back(NearestBf16(x));
  for (int i = 0; i < 64; ++i) in[i] = NearestBf16(std::ldexp(1.0, i / 2 - 30));
  struct Function {
    const char* name;
    double (*exact)(double);
  };
  const Function functions[] = {
      {"exp_bf16", [](double x) { return std::exp(std::min(x, 87.0)); }},
      {"tanh_bf16", [](double x) { return std::tanh(x); }},
      {"sigmoid_bf16", [](double x) { return 1 / (1 + std::exp(-x)); }},
      {"silu_bf16", [](double x) { return x / (1 + std::exp(-x)); }},
      {"relu_bf16", [](double x) { return std::max(x, 0.0); }}};
  for (const Function& f : functions) {
    Bf16s out(1024);
    Call(f.name, {in.data(), out.data()}, {1024});
    for (int i = 0; i < 1024; ++i) {
      const double want = f.exact(FromBf16(in[i]));
      ASSERT_NEAR(FromBf16(out[i]), want, Bf16Step(want))
          << f.name << " of " << FromBf16(in[i]);
    }
  }
}

TEST(NpuKernels, PlainMovesAndSumsAreExact) {
  const int rows = 24, cols = 40;
  const Bf16s a = ToBf16s(RandomFloats(rows * cols, 1));
  Bf16s t(rows * cols);
  Call("transpose_bf16", {a.data(), t.data()}, {rows, cols});
  for (int i = 0; i < rows; ++i) {
    for (int j = 0; j < cols; ++j) {
      ASSERT_EQ(t[j * rows + i], a[i * cols + j]);
    }
  }
  Bf16s copy(960, 7), out(960), narrow(960);
  Call("passthrough_u8", {a.data(), copy.data()}, {1920});
  EXPECT_EQ(copy, a);
  Call("zero_u8", {copy.data()}, {1920});
  EXPECT_EQ(copy, Bf16s(960));
  const std::vector<float> f = RandomFloats(960, 3);
  Call("narrow_f32_bf16", {f.data(), narrow.data()}, {960});
  EXPECT_EQ(narrow, ToBf16s(f));
  Call("axpy_bf16", {a.data(), narrow.data(), out.data()},
       {960, std::bit_cast<int32_t>(0.75F)});
  for (int i = 0; i < 960; ++i) {
    const double want = 0.75 * FromBf16(a[i]) + FromBf16(narrow[i]);
    ASSERT_NEAR(FromBf16(out[i]), want, Bf16Step(want) * 0.51);
  }
  std::vector<float> y(6);
  Call("mv_bf16", {a.data(), narrow.data(), y.data()}, {6, 160});
  for (int i = 0; i < 6; ++i) {
    double want = 0;
    for (int k = 0; k < 160; ++k) {
      want += FromBf16(a[i * 160 + k]) * FromBf16(narrow[k]);
    }
    EXPECT_NEAR(y[i], want, 1e-4);
  }
  std::mt19937_64 random(8);
  std::vector<int32_t> words(160);
  for (int32_t& x : words) x = static_cast<int32_t>(random());
  int32_t best = 0;
  Call("max_i32", {words.data(), &best}, {160});
  EXPECT_EQ(best, *std::max_element(words.begin(), words.end()));

  std::vector<int16_t> x(16 * 12), w(12 * 8);
  for (int16_t& v : x) v = static_cast<int16_t>(random() % 4001 - 2000);
  for (int16_t& v : w) v = static_cast<int16_t>(random() % 4001 - 2000);
  std::vector<int32_t> acc(16 * 8, 9);
  Call("gemm_i16", {x.data(), w.data(), acc.data()}, {16, 12, 8, 0});
  for (int i = 0; i < 16; ++i) {
    for (int j = 0; j < 8; ++j) {
      int32_t want = 0;
      for (int k = 0; k < 12; ++k) {
        want += x[Blocked(i, k, 12, 4, 4)] *
                w[static_cast<size_t>(((j / 4) * 3 + k / 4) * 16 + k % 4 * 4 +
                                      j % 4)];
      }
      ASSERT_EQ(acc[Blocked(i, j, 8, 4, 4)], want);
    }
  }
}

TEST(NpuKernels, EveryKernelHasACostAndFitsItsCore) {
  for (const KernelInfo& kernel : Kernels()) {
    std::vector<int32_t> ints;
    for (const KernelArg& arg : kernel.args) {
      if (arg.kind == KernelArg::Kind::kInt) ints.push_back(64);
    }
    const auto loops = kernel.cost(ints);
    EXPECT_FALSE(loops.empty()) << kernel.name;
    for (const LoopCost& loop : loops) {
      EXPECT_GT(loop.trips, 0) << kernel.name << ": " << loop.what;
      EXPECT_FALSE(loop.what.empty()) << kernel.name;
    }
    EXPECT_GT(kernel.frame_bytes, 0) << kernel.name;
    EXPECT_GT(kernel.code_bytes, 0) << kernel.name;
    EXPECT_LE(kernel.code_bytes, 16 * 1024) << kernel.name;
    EXPECT_EQ(FindKernel(kernel.name), &kernel) << "twice in the list";
  }
  EXPECT_EQ(FindKernel("no_such_kernel"), nullptr);
}

}  // namespace
}  // namespace sotto::npu
