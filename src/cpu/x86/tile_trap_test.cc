// SPDX-License-Identifier: MIT
// Compiled at -O3 whatever the build: with GCC 12's own intrinsics these fail,
// because it drops the stores to a configuration and to what a tile loads.
#include <gtest/gtest.h>

#include "cpu/x86/test_problems.h"
#include "cpu/x86/tile.h"
#include "cpu/x86/x86.h"

namespace sotto::cpu::x86 {
namespace {

// Everything the tile unit reads is made on the stack right before, from
// values that the compiler does not know.
SOTTO_AMX __attribute__((noinline)) float SumOnTiles(int rows, float value,
                                                     float other) {
  TileConfig config;
  config.Set(0, rows);
  config.Set(4, rows);
  config.Set(6, kTileRows);
  alignas(64) BF16 a[16 * 32];
  alignas(64) BF16 b[16 * 32];
  alignas(64) float c[16 * 16] = {};
  for (BF16& x : a) x = ToBF16(value);
  for (BF16& x : b) x = ToBF16(other);
  HardwareTiles tiles(config);
  tiles.Zero<0>();
  tiles.Load<4>(a, 64);
  tiles.Load<6>(b, 64);
  tiles.Dot<0, 4, 6>();
  for (BF16& x : a) x = ToBF16(value + 1);
  tiles.Load<4>(a, 64);
  tiles.Dot<0, 4, 6>();
  tiles.Store<0>(c, 64);
  float sum = 0;
  for (const float x : c) sum += x;
  return sum;
}

TEST(TileTrapX86, StoresBeforeTileInstructionsAreKept) {
  SKIP_WITHOUT_BF16();
  const TileTrap trap;
  for (const int rows : {1, 7, 16})
    EXPECT_EQ(SumOnTiles(rows, 2, 3),
              static_cast<float>(rows * 16 * 32 * (2 * 3 + 3 * 3)));
}

TEST(TileTrapX86, EmulatesOnlyWhereTilesAreMissing) {
  SKIP_WITHOUT_BF16();
  const TileTrap trap;
  const long before = TileTrap::count();
  SumOnTiles(16, 1, 1);
  // Configure, zero, three loads, two products, a store, release.
  EXPECT_EQ(TileTrap::count() - before, HostFeatures().amx_bf16 ? 0 : 9);
}

// The loop that measures the unit does what it says it does.
TEST(TileTrapX86, PeakLoopCountsItsProducts) {
  SKIP_WITHOUT_BF16();
  const TileTrap trap;
  const long before = TileTrap::count();
  float out = 1;
  EXPECT_EQ(MultiplyTiles(3, &out), 3 * 4 * 16 * 16 * 32 * 2.0);
  EXPECT_EQ(out, 0);
  if (!HostFeatures().amx_bf16) {
    // Configure, four loads, four zeros, twelve products, store, release.
    EXPECT_EQ(TileTrap::count() - before, 23);
  }
  EXPECT_EQ(MultiplyPairs(5, &out), 5 * 24 * 32 * 2.0);
}

}  // namespace
}  // namespace sotto::cpu::x86
