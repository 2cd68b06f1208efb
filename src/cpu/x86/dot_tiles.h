// SPDX-License-Identifier: MIT
// The inner loop of Order::kTile with tiles: blocks of 32 x 32.
//
// Tiles 0-3 are sums (two halves of 16 rows by two panels), 4-5 rows of a, 6-7
// panels of b. Per 32 values of k a block loads four tiles and multiplies four
// times: 16 cycles each in the unit, 8 for a load from the first cache, so
// loads hide behind products while one operand comes from the second cache.
// Any other use of eight tiles loads more for each product.
#pragma once

#include "cpu/x86/dot.h"
#include "cpu/x86/tile.h"

namespace sotto::cpu::x86 {

// Sums and rows of a have `rows` rows; whole tiles of b.
constexpr TileConfig DotConfig(int64_t rows) {
  TileConfig config;
  for (int t = 0; t < 6; ++t) config.Set(t, rows);
  for (int t = 6; t < 8; ++t) config.Set(t, kTileRows);
  return config;
}

// Where tiles of a begin and how their rows follow; bytes.
struct TileSource {
  const char* at = nullptr;
  int64_t row = 64;    // between rows of a tile
  int64_t step = 0;    // between tiles along k
  int64_t second = 0;  // to the lower half of 32 rows
};

inline const char* Bytes(const void* p) { return static_cast<const char*>(p); }

template <int T, bool kOnce, typename Tiles>
SOTTO_AMX_INLINE void LoadRows(Tiles& tiles, const char* at, int64_t row) {
  if constexpr (kOnce) {
    tiles.template LoadOnce<T>(at, row);
  } else {
    tiles.template Load<T>(at, row);
  }
}

// One step along k of H halves of rows by P panels. kOnce: rows of a come from
// the second cache and should not displace b in the first.
template <int H, int P, bool kOnce, typename Tiles>
SOTTO_AMX_INLINE void StepTiles(Tiles& tiles, const TileSource& a,
                                const char* b, int64_t b_row,
                                int64_t b_second) {
  tiles.template Load<6>(b, b_row);
  LoadRows<4, kOnce>(tiles, a.at, a.row);
  tiles.template Dot<0, 4, 6>();
  if constexpr (P == 2) {
    tiles.template Load<7>(b + b_second, b_row);
    tiles.template Dot<1, 4, 7>();
  }
  if constexpr (H == 2) {
    LoadRows<5, kOnce>(tiles, a.at + a.second, a.row);
    tiles.template Dot<2, 5, 6>();
    if constexpr (P == 2) tiles.template Dot<3, 5, 7>();
  }
}

template <int H, int P, typename Tiles>
SOTTO_AMX_INLINE void ZeroSums(Tiles& tiles) {
  tiles.template Zero<0>();
  if constexpr (P == 2) tiles.template Zero<1>();
  if constexpr (H == 2) tiles.template Zero<2>();
  if constexpr (H == 2 && P == 2) tiles.template Zero<3>();
}

// Sums at c, `row` bytes between rows.
template <int H, int P, typename Tiles>
SOTTO_AMX_INLINE void LoadSums(Tiles& tiles, const float* c, int64_t row) {
  const char* lower = Bytes(c) + kTileRows * row;
  tiles.template Load<0>(c, row);
  if constexpr (P == 2) tiles.template Load<1>(c + kLanes, row);
  if constexpr (H == 2) tiles.template Load<2>(lower, row);
  if constexpr (H == 2 && P == 2) tiles.template Load<3>(lower + 64, row);
}

template <int H, int P, typename Tiles>
SOTTO_AMX_INLINE void StoreSums(Tiles& tiles, float* c, int64_t row) {
  float* lower = c + kTileRows * row / 4;
  tiles.template Store<0>(c, row);
  if constexpr (P == 2) tiles.template Store<1>(c + kLanes, row);
  if constexpr (H == 2) tiles.template Store<2>(lower, row);
  if constexpr (H == 2 && P == 2) tiles.template Store<3>(lower + kLanes, row);
}

// Other work of the thread, done between the steps of a product so that the
// vector units and the tile unit are busy at once.
struct NoWork {
  void Step() {}
};

// The order as attention uses it. Rows are whole halves of 16: whoever calls
// has room for them, and what stands in rows beyond the last is not read.
template <typename Tiles>
class TilesOrder {
 public:
  static constexpr int kRows = 32;
  static constexpr int kPanels = 2;
  static constexpr int kGroup = 32;
  static constexpr int64_t Pairs(int64_t k) {
    return RoundUp(k, kTileDepth) / 2;
  }

  // note: the destructor is written out because an implicit one would not
  // have the target that releasing the tiles needs.
  SOTTO_AMX TilesOrder() : tiles_(kConfig) {}
  SOTTO_AMX ~TilesOrder() {}

  // c (+)= a b for at most kRows rows and any panels; work.Step() after each
  // 32 of k.
  template <typename Work>
  SOTTO_AMX void Multiply(int64_t rows, int64_t panels, const DotBlock& whole,
                          Work& work) {
    for (int64_t p = 0; p < panels; p += kPanels) {
      DotBlock block = whole;
      block.b = whole.b + p * whole.b_panel;
      block.c = whole.c + p * kLanes;
      const bool two = p + 1 < panels;
      if (rows > kTileRows) {
        two ? Block<2, 2>(block, work) : Block<2, 1>(block, work);
      } else {
        two ? Block<1, 2>(block, work) : Block<1, 1>(block, work);
      }
    }
  }

 private:
  static constexpr TileConfig kConfig = DotConfig(kTileRows);

  template <int H, int P, typename Work>
  SOTTO_AMX_INLINE void Block(const DotBlock& d, Work& work) {
    TileSource a{.at = Bytes(d.a),
                 .row = d.a_stride * 2,
                 .step = 64,
                 .second = kTileRows * d.a_stride * 2};
    const char* b = Bytes(d.b);
    const int64_t b_row = d.b_step * 2;
    if (d.add) {
      LoadSums<H, P>(tiles_, d.c, d.c_stride * 4);
    } else {
      ZeroSums<H, P>(tiles_);
    }
    for (int64_t pair = 0; pair < d.pairs; pair += kTileDepth / 2) {
      StepTiles<H, P, false>(tiles_, a, b, b_row, d.b_panel * 2);
      a.at += a.step;
      b += kTileRows * b_row;
      work.Step();
    }
    StoreSums<H, P>(tiles_, d.c, d.c_stride * 4);
  }

  Tiles tiles_;
};

}  // namespace sotto::cpu::x86
