// SPDX-License-Identifier: MIT
// The encoder's matrix products and attention against double precision.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "npu/kernels/device.h"
#include "npu/kernels/kernel_testing.h"
#include "npu/kernels/vec.h"

namespace sotto::npu {
namespace {

struct Shape {
  int m, k, n;
};
constexpr Shape kShapes[] = {
    {8, 8, 32}, {64, 64, 64}, {16, 240, 96}, {40, 24, 32}};

std::vector<int32_t> GemmI8(const std::vector<int8_t>& a,
                            const std::vector<int8_t>& w, const Shape& s) {
  std::vector<int8_t> blocks(w.size());
  for (int k = 0; k < s.k; ++k) {
    for (int n = 0; n < s.n; ++n) {
      blocks[BlockedWeight(k, n, s.k, 8)] = w[static_cast<size_t>(k * s.n + n)];
    }
  }
  std::vector<int32_t> acc(static_cast<size_t>(s.m) * s.n, 12345);
  const std::vector<int8_t> tiles = ToBlocks(a, s.m, s.k);
  Call("gemm_i8", {tiles.data(), blocks.data(), acc.data()},
       {s.m, s.k, s.n, 0});
  return FromBlocks(acc, s.m, s.n);
}

TEST(NpuKernels, GemmInt8IsExactAtEveryVectorWidth) {
  for (int level = 0; level <= 2; ++level) {
    vec::SetHostLevel(level);
    for (const Shape& s : kShapes) {
      const auto a = RandomInt8s(static_cast<size_t>(s.m) * s.k, 1);
      const auto w = RandomInt8s(static_cast<size_t>(s.k) * s.n, 2);
      const auto got = GemmI8(a, w, s);
      for (int i = 0; i < s.m; ++i) {
        for (int j = 0; j < s.n; ++j) {
          int64_t want = 0;
          for (int k = 0; k < s.k; ++k) want += a[i * s.k + k] * w[k * s.n + j];
          ASSERT_EQ(got[static_cast<size_t>(i * s.n + j)], want)
              << i << "," << j << " level " << level;
        }
      }
    }
  }
  vec::SetHostLevel(2);
}

TEST(NpuKernels, GemmStepsAddUp) {
  const Shape whole{16, 128, 32};
  const auto a = RandomInt8s(16 * 128, 3);
  const auto w = RandomInt8s(128 * 32, 4);
  const auto want = GemmI8(a, w, whole);
  std::vector<int32_t> acc(16 * 32, -1);
  for (int step = 0; step < 2; ++step) {
    std::vector<int8_t> tile(16 * 64), weights(64 * 32);
    for (int i = 0; i < 16; ++i) {
      for (int k = 0; k < 64; ++k) {
        tile[Blocked(i, k, 64, 4, 8)] = a[i * 128 + step * 64 + k];
      }
    }
    for (int k = 0; k < 64; ++k) {
      for (int n = 0; n < 32; ++n) {
        weights[BlockedWeight(k, n, 64, 8)] = w[(step * 64 + k) * 32 + n];
      }
    }
    Call("gemm_i8", {tile.data(), weights.data(), acc.data()},
         {16, 64, 32, step});
  }
  EXPECT_EQ(FromBlocks(acc, 16, 32), want);
}

// Codes of 12 bits as they come, or the ends of their range beside weights of
// the same sign: sums as large as they get.
struct WideGemm {
  std::vector<int16_t> a;
  std::vector<int8_t> w;
  WideGemm(const Shape& s, bool extreme, uint64_t seed) {
    std::mt19937_64 random(seed);
    std::uniform_int_distribution<int> code(-2048, 2047), weight(-127, 127);
    for (int i = 0; i < s.m * s.k; ++i)
      a.push_back(static_cast<int16_t>(!extreme           ? code(random)
                                       : i / s.k % 2 == 0 ? -2048
                                                          : 2047));
    for (int i = 0; i < s.k * s.n; ++i)
      w.push_back(static_cast<int8_t>(!extreme           ? weight(random)
                                      : i % s.n % 2 == 0 ? -127
                                                         : 127));
  }
  int64_t Want(const Shape& s, int i, int j) const {
    int64_t sum = 0;
    for (int k = 0; k < s.k; ++k)
      sum += int64_t{a[static_cast<size_t>(i * s.k + k)]} *
             w[static_cast<size_t>(k * s.n + j)];
    return sum;
  }
  // In tiles of `step` of K, as the array streams them.
  std::vector<int32_t> Run(const Shape& s, int step) const {
    std::vector<int32_t> acc(static_cast<size_t>(s.m) * s.n, 12345);
    for (int at = 0; at < s.k; at += step) {
      std::vector<int16_t> tile(static_cast<size_t>(s.m) * step);
      std::vector<int8_t> weights(static_cast<size_t>(step) * s.n);
      for (int i = 0; i < s.m; ++i)
        for (int k = 0; k < step; ++k)
          tile[Blocked(i, k, step, 4, 4)] =
              a[static_cast<size_t>(i * s.k + at + k)];
      for (int k = 0; k < step; ++k)
        for (int n = 0; n < s.n; ++n)
          weights[BlockedWeight(k, n, step, 8)] =
              w[static_cast<size_t>((at + k) * s.n + n)];
      Call("gemm_i16_i8", {tile.data(), weights.data(), acc.data()},
           {s.m, step, s.n, at / step});
    }
    return FromBlocks(acc, s.m, s.n);
  }
};

TEST(NpuKernels, GemmInt16ByInt8IsExactAtEveryVectorWidth) {
  // 5120: the widest row that Whisper has, nearest to 2^31.
  const Shape deep{8, 5120, 32};
  for (int level = 0; level <= 2; ++level) {
    vec::SetHostLevel(level);
    for (const bool extreme : {false, true}) {
      for (const Shape& s :
           {kShapes[0], kShapes[1], kShapes[2], kShapes[3], deep}) {
        const WideGemm gemm(s, extreme, 7);
        const int step = s.k % 64 == 0 ? 64 : s.k % 16 == 0 ? 16 : 8;
        const auto whole = gemm.Run(s, s.k);
        ASSERT_EQ(gemm.Run(s, step), whole) << s.k << " level " << level;
        for (int i = 0; i < s.m; ++i)
          for (int j = 0; j < s.n; ++j)
            ASSERT_EQ(whole[static_cast<size_t>(i * s.n + j)],
                      gemm.Want(s, i, j))
                << i << "," << j << " of " << s.k << " level " << level;
      }
    }
  }
  vec::SetHostLevel(2);
}

// The kernels of one tile are the others of that shape, bit for bit, in sums
// that they start and in sums that they find.
TEST(NpuKernels, TileGemmsAreTheGemms) {
  const auto check = [](const char* tile, const char* whole, int k,
                        const auto& a, const auto& w, auto acc) {
    auto want = acc;
    for (int step : {0, 1}) {
      for (int level = 0; level <= 2; ++level) {
        vec::SetHostLevel(level);
        auto got = acc;
        want = acc;
        Call(tile, {a.data(), w.data(), got.data()}, {step});
        Call(whole, {a.data(), w.data(), want.data()}, {64, k, 64, step});
        ASSERT_EQ(std::memcmp(got.data(), want.data(), 4 * got.size()), 0)
            << tile << " step " << step << " level " << level;
      }
      acc = want;
    }
  };
  const auto w = RandomInt8s(128 * 64, 200);
  check("gemm_tile_i8", "gemm_i8", 128, RandomInt8s(64 * 128, 201), w,
        std::vector<int32_t>(4096, 12345));
  const WideGemm wide({64, 64, 64}, false, 202);
  check("gemm_tile_i16_i8", "gemm_i16_i8", 64, wide.a, wide.w,
        std::vector<int32_t>(4096, -9));
  // Of what stood there before nothing may be left, not even a NaN.
  check("gemm_tile_bf16", "gemm_bf16", 64, ToBf16s(RandomFloats(4096, 203)),
        ToBf16s(RandomFloats(4096, 204)),
        std::vector<float>(4096, std::nanf("")));
}

struct Bf16Gemm {
  std::vector<float> acc;  // 4x4 blocks
  std::vector<double> want, magnitude;
};
Bf16Gemm GemmBf16(const Shape& s, uint64_t seed) {
  const Bf16s a = ToBf16s(RandomFloats(static_cast<size_t>(s.m) * s.k, seed));
  const Bf16s w =
      ToBf16s(RandomFloats(static_cast<size_t>(s.k) * s.n, seed + 1));
  Bf16s blocks(w.size());
  for (int k = 0; k < s.k; ++k) {
    for (int n = 0; n < s.n; ++n) {
      blocks[BlockedWeight(k, n, s.k, 4)] = w[static_cast<size_t>(k * s.n + n)];
    }
  }
  Bf16Gemm out;
  out.acc.resize(static_cast<size_t>(s.m) * s.n);
  const Bf16s tiles = ToBlocks(a, s.m, s.k);
  Call("gemm_bf16", {tiles.data(), blocks.data(), out.acc.data()},
       {s.m, s.k, s.n, 0});
  for (int i = 0; i < s.m; ++i) {
    for (int j = 0; j < s.n; ++j) {
      double sum = 0, magnitude = 0;
      for (int k = 0; k < s.k; ++k) {
        const double p = FromBf16(a[i * s.k + k]) * FromBf16(w[k * s.n + j]);
        sum += p;
        magnitude += std::abs(p);
      }
      out.want.push_back(sum);
      out.magnitude.push_back(magnitude);
    }
  }
  return out;
}

TEST(NpuKernels, GemmBf16SumsInF32) {
  for (const Shape& s : kShapes) {
    const Bf16Gemm got = GemmBf16(s, 7);
    for (int i = 0; i < s.m; ++i) {
      for (int j = 0; j < s.n; ++j) {
        const size_t at = static_cast<size_t>(i * s.n + j);
        ASSERT_NEAR(got.acc[Blocked(i, j, s.n, 4, 4)], got.want[at],
                    s.k * 0x1p-24 * got.magnitude[at]);
      }
    }
  }
}

TEST(NpuKernels, GemmBf16HasTheSameBitsAtEveryVectorWidth) {
  const Bf16Gemm wide = GemmBf16(kShapes[2], 9);
  for (int level = 0; level < 2; ++level) {
    vec::SetHostLevel(level);
    EXPECT_EQ(GemmBf16(kShapes[2], 9).acc, wide.acc) << level;
  }
  vec::SetHostLevel(2);
}

TEST(NpuKernels, AlignedBf16SumsAreCloseAndNotTheSame) {
  const Shape s{64, 64, 64};
  const Bf16Gemm plain = GemmBf16(s, 11);
  vec::set_bf16_sums(vec::bf16_sums::kAligned);
  const Bf16Gemm aligned = GemmBf16(s, 11);
  vec::set_bf16_sums(vec::bf16_sums::kSequential);
  EXPECT_NE(plain.acc, aligned.acc);
  for (int i = 0; i < 64; ++i) {
    for (int j = 0; j < 64; ++j) {
      const size_t at = static_cast<size_t>(i * 64 + j);
      // Each of 8 instructions cuts 8 products to 2^-23 of their largest.
      EXPECT_NEAR(aligned.acc[Blocked(i, j, 64, 4, 4)], plain.want[at],
                  64 * 0x1p-23 * plain.magnitude[at]);
    }
  }
}

TEST(NpuKernels, AlignedSumCutsSmallProductsOff) {
  // 1 + 2^-24 (eight times): each is below the grid of the largest.
  float products[8] = {1.0F};
  for (int i = 1; i < 8; ++i) products[i] = 0x1p-24F;
  EXPECT_EQ(vec::AlignedSum(products, 8), 1.0F);
  products[7] = 0x1p-23F;
  EXPECT_EQ(vec::AlignedSum(products, 8), 1.0F + 0x1p-23F);
  products[0] = -1.0F;
  products[7] = 1.0F;
  EXPECT_EQ(vec::AlignedSum(products, 8), 0.0F);
}

TEST(NpuKernels, K13Matmul64Bf16IsRoundedOnce) {
  const Bf16s a = ToBf16s(RandomFloats(4096, 21));
  const Bf16s b = ToBf16s(RandomFloats(4096, 22));
  Bf16s blocks(4096), out(4096);
  for (int k = 0; k < 64; ++k) {
    for (int n = 0; n < 64; ++n) {
      blocks[BlockedWeight(k, n, 64, 4)] = b[k * 64 + n];
    }
  }
  std::vector<float> scratch(4096);
  const Bf16s tiles = ToBlocks(a, 64, 64);
  Call("matmul_bf16_64",
       {tiles.data(), blocks.data(), out.data(), scratch.data()});
  const Bf16s got = FromBlocks(out, 64, 64);
  for (int i = 0; i < 64; ++i) {
    for (int j = 0; j < 64; ++j) {
      double want = 0, magnitude = 0;
      for (int k = 0; k < 64; ++k) {
        const double p = FromBf16(a[i * 64 + k]) * FromBf16(b[k * 64 + j]);
        want += p;
        magnitude += std::abs(p);
      }
      // Half a step, and the f32 sum's error where products cancel.
      ASSERT_NEAR(FromBf16(got[i * 64 + j]), want,
                  0.5 * Bf16Step(want) * 1.001 + 64 * 0x1p-24 * magnitude);
    }
  }
}

TEST(NpuKernels, K13CompatMatmulsFloorTheirSums) {
  const Bf16s a = ToBf16s(RandomFloats(4096, 31));
  const Bf16s b = ToBf16s(RandomFloats(4096, 32));
  Bf16s scalar(4096), vector(4096);
  Call("matmul_bf16_64x64_scalar", {a.data(), b.data(), scalar.data()});
  Call("matmul_bf16_64x64_vector", {a.data(), b.data(), vector.data()});
  EXPECT_EQ(scalar, vector);
  for (int i = 0; i < 4096; ++i) {
    float want = 0;
    for (int k = 0; k < 64; ++k) {
      want += static_cast<float>(FromBf16(a[i / 64 * 64 + k]) *
                                 FromBf16(b[k * 64 + i % 64]));
    }
    ASSERT_LE(FromBf16(scalar[i]), want);
    ASSERT_GT(FromBf16(scalar[i]) + Bf16Step(want) * 1.0001, want);
  }
}

// --- attention --------------------------------------------------------------

struct Heads {
  std::vector<double> q, k, v;  // [rows or keys][d], q with its scale
};

std::vector<double> ExactAttention(const Heads& h, int rows, int keys, int d) {
  std::vector<double> out(static_cast<size_t>(rows) * d);
  std::vector<double> p(static_cast<size_t>(keys));
  for (int i = 0; i < rows; ++i) {
    double best = -1e300;
    for (int j = 0; j < keys; ++j) {
      double s = 0;
      for (int l = 0; l < d; ++l) s += h.q[i * d + l] * h.k[j * d + l];
      p[j] = s;
      best = std::max(best, s);
    }
    double sum = 0;
    for (double& x : p) sum += x = std::exp2(x - best);
    for (int j = 0; j < keys; ++j) {
      for (int l = 0; l < d; ++l) {
        out[static_cast<size_t>(i * d + l)] += p[j] / sum * h.v[j * d + l];
      }
    }
  }
  return out;
}

// Runs bf16 flash attention on blocks of `block` keys; keys beyond are noise.
std::vector<double> FlashBf16(const Heads& h, int rows, int keys, int d,
                              int block) {
  const int padded = (keys + block - 1) / block * block;
  const auto bf16 = [&](const std::vector<double>& x, int n) {
    Bf16s out(static_cast<size_t>(n) * d, NearestBf16(1e4));
    for (size_t i = 0; i < x.size(); ++i) out[i] = NearestBf16(x[i]);
    return ToBlocks(out, n, d);
  };
  const Bf16s q = bf16(h.q, rows), k = bf16(h.k, padded), v = bf16(h.v, padded);
  std::vector<float> state(static_cast<size_t>(rows) * (12 + d));
  Bf16s p(static_cast<size_t>(rows) * block);
  for (int b = 0; b < padded / block; ++b) {
    const size_t at = static_cast<size_t>(b) * block * d;
    Call("flash_scores_bf16", {q.data(), &k[at], p.data(), state.data()},
         {rows, block, d, b, keys});
    Call("flash_values", {p.data(), &v[at], state.data()}, {rows, block, d, b});
  }
  Bf16s out(static_cast<size_t>(rows) * d);
  Call("flash_finish_bf16", {state.data(), out.data()}, {rows, d});
  return FromBf16s(FromBlocks(out, rows, d));
}

Heads RandomHeads(int rows, int keys, int d, double spread, uint64_t seed) {
  const auto make = [&](int n, uint64_t s, double sigma) {
    std::vector<double> out;
    for (float x : RandomFloats(static_cast<size_t>(n) * d, s,
                                static_cast<float>(sigma))) {
      out.push_back(FromBf16(NearestBf16(x)));
    }
    return out;
  };
  return {make(rows, seed, spread * 1.4427 / std::sqrt(d)),
          make(keys, seed + 1, 1.0), make(keys, seed + 2, 1.0)};
}

TEST(NpuKernels, K5FlashBf16EqualsExactAttention) {
  struct Case {
    int rows, keys, d, block;
    double spread;
  };
  // From flat rows to nearly one-hot ones; tails of 28, 12 and 1 keys.
  const Case cases[] = {{64, 1500, 64, 64, 1.0},
                        {64, 1500, 64, 32, 6.0},
                        {32, 300, 64, 32, 20.0},
                        {16, 65, 64, 64, 2.0},
                        {16, 48, 32, 16, 3.0}};
  for (const Case& c : cases) {
    const Heads h = RandomHeads(c.rows, c.keys, c.d, c.spread, 40);
    const Agreement a = Agree(FlashBf16(h, c.rows, c.keys, c.d, c.block),
                              ExactAttention(h, c.rows, c.keys, c.d));
    EXPECT_GE(a.cosine, 0.9999) << c.keys << " spread " << c.spread;
    EXPECT_LE(a.relative_rms, 0.01) << c.keys << " spread " << c.spread;
  }
}

TEST(NpuKernels, K5FlashBf16FollowsARisingMaximum) {
  // Keys sorted so that every block's scores rise by more than the slack, in
  // all rows or in some; the other rows keep their reference.
  const int rows = 16, keys = 256, d = 64;
  for (int every : {1, 3}) {
    Heads h = RandomHeads(rows, keys, d, 1.0, 50);
    for (int i = 0; i < rows; ++i) h.q[i * d] = i % every == 0 ? 1.0 : 0.0;
    for (int j = 0; j < keys; ++j) h.k[j * d] = j * 4.0 - 300;
    const Agreement a = Agree(FlashBf16(h, rows, keys, d, 32),
                              ExactAttention(h, rows, keys, d));
    EXPECT_GE(a.cosine, 0.9999) << every;
    EXPECT_LE(a.relative_rms, 0.01) << every;
  }
}

TEST(NpuKernels, K5FlashInt8TakesAnyScaleOfScores) {
  // Scores of hardly anything, so that all keys count alike, and of hundreds.
  const int rows = 16, keys = 64, d = 64;
  for (int shift : {20, 14, 11, 8}) {
    Heads h;
    auto q = RandomInt8s(rows * d, 90);
    for (int8_t& x : q) x = static_cast<int8_t>(x / (shift < 10 ? 16 : 1));
    const auto k = RandomInt8s(keys * d, 91);
    for (int8_t x : q) h.q.push_back(std::ldexp(x, -shift));
    for (int8_t x : k) h.k.push_back(x);
    const Bf16s v = ToBf16s(RandomFloats(keys * d, 92));
    h.v = FromBf16s(v);
    const auto qb = ToBlocks(q, rows, d), kb = ToBlocks(k, keys, d);
    const Bf16s vb = ToBlocks(v, keys, d);
    std::vector<float> state(rows * (12 + d));
    Bf16s p(rows * keys), out(rows * d);
    Call("flash_scores_i8", {qb.data(), kb.data(), p.data(), state.data()},
         {rows, keys, d, 0, keys, shift, d});
    Call("flash_values", {p.data(), vb.data(), state.data()},
         {rows, keys, d, 0});
    Call("flash_finish_bf16", {state.data(), out.data()}, {rows, d});
    const Agreement a = Agree(FromBf16s(FromBlocks(out, rows, d)),
                              ExactAttention(h, rows, keys, d));
    EXPECT_GE(a.cosine, 0.9999) << shift;
    EXPECT_LE(a.relative_rms, 0.01) << shift;
  }
}

TEST(NpuKernels, K5FlashInt8EqualsExactAttentionOfItsQuantisedInputs) {
  const int rows = 64, keys = 300, d = 64, block = 64, shift = 10;
  const auto q = RandomInt8s(rows * d, 60);
  const auto k = RandomInt8s(320 * d, 61);
  Heads h;
  for (int8_t x : q) h.q.push_back(std::ldexp(x, -shift) / 16);
  for (int j = 0; j < keys * d; ++j) h.k.push_back(k[j] * 16.0);
  Bf16s v = ToBf16s(RandomFloats(320 * d, 62));
  for (int j = 0; j < keys * d; ++j) h.v.push_back(FromBf16(v[j]));
  const auto qb = ToBlocks(q, rows, d);
  const auto kb = ToBlocks(k, 320, d);
  const Bf16s vb = ToBlocks(v, 320, d);
  std::vector<float> state(rows * (12 + d));
  Bf16s p(rows * block);
  for (int b = 0; b < 5; ++b) {
    const size_t at = static_cast<size_t>(b) * block * d;
    Call("flash_scores_i8", {qb.data(), &kb[at], p.data(), state.data()},
         {rows, block, d, b, keys, shift, d});
    Call("flash_values", {p.data(), &vb[at], state.data()},
         {rows, block, d, b});
  }
  Bf16s out(rows * d);
  Call("flash_finish_bf16", {state.data(), out.data()}, {rows, d});
  const auto want = ExactAttention(h, rows, keys, d);
  const Agreement a = Agree(FromBf16s(FromBlocks(out, rows, d)), want);
  EXPECT_GE(a.cosine, 0.9999);
  EXPECT_LE(a.relative_rms, 0.01);
  // The integer way out is the same values, rounded: of V that was made larger,
  // so that some are beyond the codes.
  for (const float scale : {32.0F, 1.0e4F}) {
    auto larger = state;
    for (size_t i = static_cast<size_t>(rows) * 8; i < state.size(); ++i)
      if ((i - rows * 8) % (16 + d * 4) >= 16) larger[i] *= scale;
    std::vector<int16_t> codes(rows * d);
    Call("flash_finish_i16", {larger.data(), codes.data()}, {rows, d});
    int beyond = 0;
    for (int i = 0; i < rows * d; ++i) {
      const double value = FromBf16(out[Blocked(i / d, i % d, d, 4, 8)]);
      beyond += std::abs(value * scale) > 2048 ? 1 : 0;
      ASSERT_NEAR(codes[Blocked(i / d, i % d, d, 4, 4)],
                  std::clamp(value * scale, -2048.0, 2047.0),
                  0.5 + scale * Bf16Step(value));
    }
    EXPECT_EQ(beyond > 0, scale > 1000);
  }
}

// The kernels of one tile are the others of that shape, bit for bit: over keys
// that end inside a block, references that move, Q that is half of a wide one.
TEST(NpuKernels, K5FlashTilesAreFlash) {
  constexpr int kKeys = 150, kWords = 64 * (12 + 64);
  Heads h = RandomHeads(64, 192, 64, 1.0, 110);
  for (int j = 0; j < 192; ++j) h.k[j * 64] = j * 6.0 - 300;
  const auto bf16 = [](const std::vector<double>& x, int n) {
    Bf16s out;
    for (double value : x) out.push_back(NearestBf16(value));
    return ToBlocks(out, n, 64);
  };
  const Bf16s q = bf16(h.q, 64), k = bf16(h.k, 192), v = bf16(h.v, 192);
  const auto q8 = RandomInt8s(64 * 128, 111), k8 = RandomInt8s(192 * 64, 112);
  for (const bool int8 : {false, true}) {
    std::vector<float> want(kWords), got(kWords, std::nanf(""));
    for (int b = 0; b < 3; ++b) {
      Bf16s p(4096), tile_p(4096, 7);
      const size_t at = static_cast<size_t>(b) * 4096;
      if (int8) {
        Call("flash_scores_i8", {&q8[256], &k8[at], p.data(), want.data()},
             {64, 64, 64, b, kKeys, 8, 128});
        Call("flash_tile_scores_i8",
             {&q8[256], &k8[at], tile_p.data(), got.data()},
             {b, kKeys, 8, 128});
      } else {
        Call("flash_scores_bf16", {q.data(), &k[at], p.data(), want.data()},
             {64, 64, 64, b, kKeys});
        Call("flash_tile_scores_bf16",
             {q.data(), &k[at], tile_p.data(), got.data()}, {b, kKeys});
      }
      EXPECT_EQ(tile_p, p) << b;
      Call("flash_values", {p.data(), &v[at], want.data()}, {64, 64, 64, b});
      Call("flash_tile_values", {p.data(), &v[at], got.data()}, {b});
      ASSERT_EQ(std::memcmp(got.data(), want.data(), 4 * kWords), 0) << b;
    }
  }
}

TEST(NpuKernels, K5FlashRepeatsBitForBitAtEveryVectorWidth) {
  const Heads h = RandomHeads(16, 100, 64, 4.0, 70);
  const auto first = FlashBf16(h, 16, 100, 64, 32);
  for (int level : {2, 1, 0, 2}) {
    vec::SetHostLevel(level);
    ASSERT_EQ(FlashBf16(h, 16, 100, 64, 32), first) << level;
  }
}

// One kernel by argument gives the bits of the several it stands for; also
// where result and source are one buffer.
TEST(NpuKernels, NormsByArgumentAreTheNorms) {
  const int m = 16, n = 64;
  const size_t size = static_cast<size_t>(m) * n;
  const auto params = RandomFloats(2 * n, 80, 4.0F);
  const Bf16s x = ToBf16s(RandomFloats(size, 83));
  std::vector<float> stats(m * 16);
  Call("layer_norm_stats", {x.data(), stats.data()},
       {m, n, 0, 1, std::bit_cast<int32_t>(1.0F / n)});
  for (int to_i8 : {0, 1}) {
    Bf16s want(size), got = x;
    Call(to_i8 != 0 ? "layer_norm_apply_i8" : "layer_norm_apply_bf16",
         {x.data(), stats.data(), params.data(), want.data()}, {m, n});
    Call("layer_norm_apply",
         {got.data(), stats.data(), params.data(), got.data()}, {m, n, to_i8});
    got.resize(to_i8 != 0 ? size / 2 : size);
    want.resize(got.size());
    EXPECT_EQ(got, want);
  }
}

}  // namespace
}  // namespace sotto::npu
