// SPDX-License-Identifier: MIT
#include "cpu/x86/tile.h"

#include <gtest/gtest.h>

#include <limits>

#include "cpu/x86/dot_tile_order.h"
#include "cpu/x86/test_problems.h"

namespace sotto::cpu::x86 {
namespace {

// tdpbf16ps in scalar code, after the manual, without MXCSR: denormals are
// zero before and after each step.
float Flush(float x) {
  return std::abs(x) < std::numeric_limits<float>::min()
             ? std::copysign(0.0f, x)
             : x;
}
float FlushedFma(float a, float b, float c) {
  return Flush(std::fma(Flush(a), Flush(b), Flush(c)));
}
float DotOfPairs(float sum, const BF16* a, int64_t pairs, const BF16* b,
                 int64_t b_step) {
  float even = 0, odd = 0;
  for (int64_t i = 0; i < pairs; ++i) {
    even = FlushedFma(ToFloat(a[2 * i]), ToFloat(b[i * b_step]), even);
    odd = FlushedFma(ToFloat(a[2 * i + 1]), ToFloat(b[i * b_step + 1]), odd);
  }
  return Flush(Flush(sum) + Flush(even + odd));
}

// Values that overflow, underflow and cancel, but are never NaN.
BF16 Wild(Random& random) {
  const uint32_t bits = random.Bits();
  const auto exponent = (bits >> 8) % 3 == 0   ? bits % 254
                        : (bits >> 8) % 3 == 1 ? 110 + bits % 40
                                               : 60 + bits % 8;
  return {static_cast<uint16_t>((bits >> 16 & 0x8000u) | exponent << 7 |
                                (bits >> 10 & 0x7fu))};
}

struct Operands {
  alignas(64) BF16 a[16 * 32];
  alignas(64) BF16 b[16 * 32];
  alignas(64) float c[16 * 16];
  explicit Operands(uint32_t seed) {
    Random random(seed);
    for (BF16& value : a) value = Wild(random);
    for (BF16& value : b) value = Wild(random);
    for (float& value : c) value = ToFloat(Wild(random));
  }
};

bool SameBits(float a, float b) {
  return std::bit_cast<uint32_t>(a) == std::bit_cast<uint32_t>(b) ||
         (std::isnan(a) && std::isnan(b));
}

template <typename Tiles>
SOTTO_AMX void OneProduct(const Operands& o, int64_t rows, float* c) {
  TileConfig config;
  config.Set(0, rows);
  config.Set(4, rows);
  config.Set(6, kTileRows);
  Tiles tiles(config);
  tiles.template Load<0>(o.c, 64);
  tiles.template Load<4>(o.a, 64);
  tiles.template Load<6>(o.b, 64);
  tiles.template Dot<0, 4, 6>();
  tiles.template Store<0>(c, 64);
}

void ExpectExact(const Operands& o, int64_t rows, const float* c) {
  for (int64_t m = 0; m < rows; ++m)
    for (int64_t n = 0; n < 16; ++n) {
      const float want =
          DotOfPairs(o.c[m * 16 + n], o.a + m * 32, 16, o.b + n * 2, 32);
      ASSERT_TRUE(SameBits(c[m * 16 + n], want))
          << m << ' ' << n << ' ' << c[m * 16 + n] << ' ' << want;
    }
}

TEST(TileX86, EmulationIsTheManual) {
  SKIP_WITHOUT_BF16();
  for (uint32_t seed = 0; seed < 200; ++seed) {
    const Operands o(seed);
    const int64_t rows = 1 + seed % 16;
    alignas(64) float c[256];
    OneProduct<EmulatedTiles>(o, rows, c);
    ExpectExact(o, rows, c);
  }
}

TEST(TileX86, TheMachineIsTheManual) {
  if (!HostFeatures().amx_bf16) GTEST_SKIP() << "needs amx_bf16";
  for (uint32_t seed = 0; seed < 200; ++seed) {
    const Operands o(seed);
    alignas(64) float c[256];
    OneProduct<HardwareTiles>(o, 16, c);
    ExpectExact(o, 16, c);
  }
}

TEST(TileX86, RowOrderIsTheManualAndLeavesTheRoundingMode) {
  SKIP_WITHOUT_BF16();
  const unsigned mode = _mm_getcsr();
  for (uint32_t seed = 0; seed < 200; ++seed) {
    const Operands o(seed);
    const int64_t rows = 1 + seed % TileOrder::kMaxRows;
    alignas(64) float c[256];
    std::copy_n(o.c, 256, c);
    TileOrder::Dot(rows, 1,
                   {.a = o.a,
                    .a_stride = 32,
                    .b = o.b,
                    .pairs = 16,
                    .c = c,
                    .c_stride = 16,
                    .add = true,
                    .next = o.b});
    ExpectExact(o, rows, c);
  }
  EXPECT_EQ(_mm_getcsr() & ~0x3fu, mode & ~0x3fu);
}

TEST(TileX86, EmulationZeroesWhatTheConfigurationLeavesOut) {
  TileConfig config;
  config.Set(0, 16);
  config.Set(1, 2, 8);
  EmulatedTiles tiles(config);
  uint8_t ones[1024], out[1024];
  std::memset(ones, 1, sizeof ones);
  std::memset(out, 7, sizeof out);
  tiles.Load<1>(ones, 64);
  tiles.Store<1>(out, 64);
  EXPECT_EQ(out[7], 1);
  EXPECT_EQ(out[8], 7);  // beyond the row's bytes
  EXPECT_EQ(out[64], 1);
  EXPECT_EQ(out[128], 7);  // beyond the rows
}

}  // namespace
}  // namespace sotto::cpu::x86
