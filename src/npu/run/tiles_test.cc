// SPDX-License-Identifier: MIT
// N5: tile counts against counting. E6: both sizes of tile give the same, and
// the cheaper one is chosen.
#include "npu/run/tiles.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <random>

#include "acceptance_row.h"
#include "npu/kernels/kernel.h"
#include "tensor/half.h"

namespace sotto::npu {
namespace {

TEST(NpuTiles, N5CountsGrowWithTheSquare) {
  // Every pair of blocks that shares a pair of positions, one by one.
  for (const int tile : {1, 16, 64}) {
    for (const int positions : {1, 15, 16, 17, 64, 65, 100, 130}) {
      std::vector<std::vector<bool>> seen(200, std::vector<bool>(200));
      int64_t pairs = 0;
      for (int q = 0; q < positions; ++q) {
        for (int k = 0; k < positions; ++k) {
          if (seen[q / tile][k / tile]) continue;
          seen[q / tile][k / tile] = true;
          ++pairs;
        }
      }
      EXPECT_EQ(AttentionTiles(positions, tile, 1, 1), pairs)
          << positions << " positions in tiles of " << tile;
      EXPECT_EQ(AttentionTiles(positions, tile, 3, 2), 6 * pairs);
    }
  }
  // Twice the length, four times the tiles.
  for (const int blocks : {1, 3, 12})
    EXPECT_EQ(AttentionTiles(2 * blocks * 64, 64, 8, 6),
              4 * AttentionTiles(blocks * 64, 64, 8, 6));
  EXPECT_EQ(AttentionTiles(1500, 64, 8, 6), 27648);
}

TEST(NpuTiles, N5TableIsItsFormula) {
  const double seconds[] = {0.5, 10, 29.99, 30, 30.01, 55.35, 60};
  const auto rows = TileTable(seconds, {}, 64, 2.19);
  ASSERT_EQ(rows.size(), std::size(seconds));
  for (const TileRow& row : rows) {
    const int windows = static_cast<int>(std::ceil(row.seconds / 30));
    EXPECT_EQ(row.padded_tiles, windows * 27648) << row.seconds;
    EXPECT_LE(row.tiles, row.padded_tiles);
    EXPECT_NEAR(row.ms, 2.19 * static_cast<double>(row.padded_tiles), 1e-6);
    EXPECT_EQ(row.positions,
              static_cast<int64_t>(std::ceil(row.seconds * 50 - 1e-9)));
  }
  EXPECT_EQ(rows[1].tiles, 8 * 8 * 48);  // 500 positions
  EXPECT_EQ(rows[5].tiles, 27648 + 20 * 20 * 48);
  // What was published as 0.41 s for 30 s of sound counted 187 tiles.
  EXPECT_GT(rows[3].ms, 60'000);
  ReportRow("N5",
            fmt::format("55.35 s: {} tiles of 64x64 in whole windows, {} if "
                        "the context ended with the sound; one by one at the "
                        "published 2.19 ms {:.0f} s",
                        rows[5].padded_tiles, rows[5].tiles, rows[5].ms / 1000),
            RowTag::kProjected);
}

TEST(NpuTiles, N3ReportSaysTheTrueCount) {
  const std::string text = TileReport({});
  EXPECT_THAT(text, testing::HasSubstr("24 x 24 blocks x 8 heads x 6 layers = "
                                       "27648 tiles"));
  EXPECT_THAT(text, testing::HasSubstr("(projected)"));
  EXPECT_THAT(text, testing::HasSubstr("(modelled)"));
}

// --- both sizes
// ---------------------------------------------------------------

struct Head {
  int queries, keys;
  std::vector<float> q, k, v;  // [queries or keys][64]
};
Head RandomHead(int queries, int keys, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  Head head{queries, keys, {}, {}, {}};
  for (int i = 0; i < queries * 64; ++i) head.q.push_back(normal(random) / 3);
  for (int i = 0; i < keys * 64; ++i) head.k.push_back(normal(random));
  for (int i = 0; i < keys * 64; ++i) head.v.push_back(normal(random));
  return head;
}

using Halves = std::vector<uint16_t>;
// Rows from `from` on as a block of `tile` rows, [tile/4][8][4][8]; rows that
// are not there hold what must not count.
Halves Block(const std::vector<float>& x, int rows, int from, int tile) {
  Halves out(static_cast<size_t>(tile) * 64);
  for (int i = 0; i < tile; ++i) {
    for (int j = 0; j < 64; ++j) {
      const float value =
          from + i < rows ? x[static_cast<size_t>((from + i) * 64 + j)] : 1e4F;
      out[static_cast<size_t>((i / 4 * 8 + j / 8) * 32 + i % 4 * 8 + j % 8)] =
          ToBF16(value).bits;
    }
  }
  return out;
}

void Call(const char* name, std::vector<void*> pointers,
          std::vector<int32_t> ints) {
  std::vector<std::byte*> bytes;
  for (void* p : pointers) bytes.push_back(static_cast<std::byte*>(p));
  FindKernel(name)->call({.pointers = bytes, .ints = ints});
}

// The whole head in tiles of `tile` by `tile`, with the kernels of the core.
Halves InTiles(const Head& head, int tile) {
  Halves out;
  for (int from = 0; from < head.queries; from += tile) {
    Halves q = Block(head.q, head.queries, from, tile), rows(q.size());
    std::vector<float> state(static_cast<size_t>(tile) * 76);
    Halves p(static_cast<size_t>(tile) * static_cast<size_t>(tile));
    for (int b = 0; b * tile < head.keys; ++b) {
      Halves k = Block(head.k, head.keys, b * tile, tile);
      Halves v = Block(head.v, head.keys, b * tile, tile);
      Call("flash_scores_bf16", {q.data(), k.data(), p.data(), state.data()},
           {tile, tile, 64, b, head.keys});
      Call("flash_values", {p.data(), v.data(), state.data()},
           {tile, tile, 64, b});
    }
    Call("flash_finish_bf16", {state.data(), rows.data()}, {tile, 64});
    for (int i = 0; i < tile && from + i < head.queries; ++i)
      for (int j = 0; j < 64; ++j)
        out.push_back(rows[static_cast<size_t>((i / 4 * 8 + j / 8) * 32 +
                                               i % 4 * 8 + j % 8)]);
  }
  return out;
}

double ErrorOf(const Halves& got, const Head& head) {
  double errors = 0, size = 0;
  std::vector<double> p(static_cast<size_t>(head.keys));
  const auto at = [](const std::vector<float>& x, int i, int j) {
    return double{ToFloat(ToBF16(x[static_cast<size_t>(i * 64 + j)]))};
  };
  for (int i = 0; i < head.queries; ++i) {
    double sum = 0;
    for (int k = 0; k < head.keys; ++k) {
      double s = 0;
      for (int j = 0; j < 64; ++j) s += at(head.q, i, j) * at(head.k, k, j);
      sum += p[static_cast<size_t>(k)] = std::exp2(s);
    }
    for (int j = 0; j < 64; ++j) {
      double want = 0;
      for (int k = 0; k < head.keys; ++k)
        want += p[static_cast<size_t>(k)] / sum * at(head.v, k, j);
      const double is = std::bit_cast<float>(
          uint32_t{got[static_cast<size_t>(i * 64 + j)]} << 16);
      errors += (is - want) * (is - want);
      size += want * want;
    }
  }
  return std::sqrt(errors / size);
}

TEST(NpuTiles, E6BothSizesGiveTheSame) {
  double worst = 0;
  size_t values = 0, differ = 0;
  // An encoder's head in part, a prompt, one token, one key.
  for (const auto& [queries, keys] : {std::pair(150, 300), std::pair(4, 4),
                                      std::pair(1, 100), std::pair(1, 1)}) {
    const Head head = RandomHead(queries, keys, 7);
    const Halves small = InTiles(head, 16), large = InTiles(head, 64);
    ASSERT_EQ(small.size(), static_cast<size_t>(queries) * 64);
    EXPECT_LE(ErrorOf(small, head), 0.01) << queries << " x " << keys;
    EXPECT_LE(ErrorOf(large, head), 0.01) << queries << " x " << keys;
    // The rows' references differ by whole powers of two alone; only sums in
    // another order round a value here and there to its neighbour.
    for (size_t i = 0; i < small.size(); ++i) {
      if (small[i] == large[i]) continue;
      ++differ;
      EXPECT_LE(std::abs(int{small[i]} - int{large[i]}), 1)
          << queries << " x " << keys << " at " << i;
    }
    values += small.size();
    worst = std::max({worst, ErrorOf(small, head), ErrorOf(large, head)});
  }
  EXPECT_LE(differ, values / 1000);
  ReportRow("E6",
            fmt::format("16x16 and 64x64: {} of {} values one bf16 step apart, "
                        "the others the same bits; relative error {:.2f} %",
                        differ, values, 100 * worst),
            RowTag::kMeasured);
}

TEST(NpuTiles, E6TheCheaperSizeIsChosen) {
  const auto chosen = [](int queries, int keys, bool int8 = false) {
    const auto choices =
        TileChoices({.queries = queries, .keys = keys, .int8 = int8});
    EXPECT_EQ(choices.size(), 2u);
    EXPECT_LE(choices[0].cycles, choices[1].cycles);
    return choices[0];
  };
  EXPECT_EQ(chosen(1500, 1500).tile, 64);
  EXPECT_EQ(chosen(1500, 1500).tiles, 24 * 24);
  EXPECT_EQ(chosen(1500, 1500, true).tile, 64);
  for (const int keys : {1, 16, 100, 448, 1500}) {
    EXPECT_EQ(chosen(1, keys).tile, 16) << keys;
    EXPECT_EQ(chosen(4, keys).tile, 16) << keys;
  }
  ReportRow("E6",
            fmt::format("a head of the encoder in 64x64: {} cycles; a token's "
                        "100 keys in 16x16: {}",
                        chosen(1500, 1500).cycles, chosen(1, 100).cycles),
            RowTag::kModelled);
}

}  // namespace
}  // namespace sotto::npu
