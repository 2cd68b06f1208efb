// SPDX-License-Identifier: MIT
// Linear in f32 sums over f32, f16 and bf16 panels, for many rows and for few.
//
// Bounds. Tile: m n k multiply-adds at 32 (AVX-512) or 16 (AVX2) a cycle; a
// block of 14 x 32 reads 184 bytes a step from L2 against 14 cycles of FMA,
// so the units are the limit. Row: n k weights read once from memory, 4 or 2
// bytes each; arithmetic hides behind the reads.
#include <algorithm>
#include <cstring>

#include "cpu/simd/simd.h"
#include "cpu/simd/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/simd/linear.cc"
#include "hwy/foreach_target.h"
// After foreach_target.
#include "cpu/simd/exp-inl.h"
#include "cpu/simd/gemm-inl.h"
#include "hwy/highway.h"

#ifndef SOTTO_CPU_SIMD_LINEAR_ONCE_
#define SOTTO_CPU_SIMD_LINEAR_ONCE_
namespace sotto::cpu {

// note: rows of a power of two bytes would fall into few sets of the L1 cache.
inline int64_t TilePitch(int64_t k) { return RoundUp(k, 16) + 16; }

// Rows of x that a task copies and keeps in half of L2 while panels pass:
// each pair of panels is then read once from L3 for all of them.
inline int64_t TileRows(int64_t k) {
  const int64_t fit = static_cast<int64_t>(HostCaches().l2) / 2 /
                      (TilePitch(k) * static_cast<int64_t>(sizeof(float)));
  return std::clamp<int64_t>(fit / 14, 1, 8) * 14;
}

}  // namespace sotto::cpu
#endif

HWY_BEFORE_NAMESPACE();
namespace sotto::cpu::HWY_NAMESPACE {

// act(sum + bias) + residual into one vector of y, columns [n, n + kLanes) of
// which `valid` exist.
template <typename Y>
HWY_INLINE void FinishVector(const LinearArgs& a, V sum, int64_t m, int64_t n,
                             int64_t valid) {
  Y* y = static_cast<Y*>(a.y) + m * a.y_stride + n;
  const float* residual =
      a.residual == nullptr
          ? nullptr
          : a.residual + m % a.residual_rows * a.residual_stride + n;
  const bool whole = valid >= kLanes;
  HWY_ALIGN float few[kPanel] = {};
  const auto load = [&](const float* from) HWY_ATTR {
    if (HWY_LIKELY(whole)) return Load(from);
    for (int64_t i = 0; i < valid; ++i) few[i] = from[i];
    return Load(few);
  };
  if (a.bias != nullptr) sum = hn::Add(sum, load(a.bias + n));
  if (a.act == ir::Activation::kGelu) sum = Gelu(sum);
  if (residual != nullptr) sum = hn::Add(sum, load(residual));
  if (HWY_LIKELY(whole)) {
    Store(sum, y);
    return;
  }
  Store(sum, few);
  for (int64_t i = 0; i < valid; ++i) StoreScalar(few[i], y + i);
}

// All sums of a block: `rows` rows from m on, columns from panel `panel` on.
template <int64_t kRows, int64_t kVecs>
HWY_INLINE void FinishBlock(const LinearArgs& a, const Sums<kRows, kVecs>& sums,
                            int64_t m, int64_t rows, int64_t panel,
                            int64_t vecs) {
  // note: through memory, so that this loop need not be unrolled; the block
  // has done thousands of multiply-adds by now.
  HWY_ALIGN float out[kRows * kVecs * kLanes];
  HWY_UNROLL(16)
  for (int64_t i = 0; i < kRows; ++i) HWY_UNROLL(16)
  for (int64_t j = 0; j < kVecs; ++j)
    Store(sums.v[i][j], out + (i * kVecs + j) * kLanes);
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < vecs; ++j) {
      const int64_t n = panel * kPanel + j * kLanes;
      if (n >= a.n) break;
      const V sum = Load(out + (i * kVecs + j) * kLanes);
      if (a.y_type == DType::kBF16) {
        FinishVector<BF16>(a, sum, m + i, n, a.n - n);
      } else {
        FinishVector<float>(a, sum, m + i, n, a.n - n);
      }
    }
  }
}

template <typename W>
HWY_INLINE Columns<W> PanelsAt(const LinearArgs& a, int64_t panel) {
  const int64_t stride = PaddedK(a.w_type, a.k) * kPanel;
  return {static_cast<const W*>(a.w) + panel * stride, stride,
          kPanel * Columns<W>::kPerStep};
}

// Copied rows x panels [panel, panel + kBlockPanels).
template <int64_t kRows, typename W>
HWY_NOINLINE void TileBlock(const LinearArgs& a, const float* x, int64_t m,
                            int64_t rows, int64_t panel) {
  Columns<W> w = PanelsAt<W>(a, panel);
  const int64_t panels = RoundUp(a.n, kPanel) / kPanel;
  // A lone last panel is computed twice and stored once.
  const bool lone = panel + kBlockPanels > panels;
  if (lone) w.panel_stride = 0;
  Sums<kRows, kBlockVecs> sums;
  SumProducts<kRows, kBlockVecs>(x, TilePitch(a.k), w, a.k, sums);
  FinishBlock<kRows, kBlockVecs>(a, sums, m, rows, panel,
                                 lone ? kPanelVecs : kBlockVecs);
}

// Blocks of even height: an odd last row is computed twice over zeros.
template <typename W>
void TileRowsBlock(const LinearArgs& a, const float* x, int64_t m, int64_t rows,
                   int64_t panel) {
  switch (RoundUp(rows, 2)) {
    case 2:
      return TileBlock<2, W>(a, x, m, rows, panel);
    case 4:
      return TileBlock<4, W>(a, x, m, rows, panel);
    case 6:
      return TileBlock<6, W>(a, x, m, rows, panel);
    default:
      break;
  }
  if constexpr (kBlockRows > 6) {
    switch (RoundUp(rows, 2)) {
      case 8:
        return TileBlock<8, W>(a, x, m, rows, panel);
      case 10:
        return TileBlock<10, W>(a, x, m, rows, panel);
      case 12:
        return TileBlock<12, W>(a, x, m, rows, panel);
      default:
        return TileBlock<14, W>(a, x, m, rows, panel);
    }
  }
}

template <typename W>
void LinearTileAs(const LinearArgs& a, const Context& context) {
  const int64_t panels = RoundUp(a.n, kPanel) / kPanel;
  const int64_t pitch = TilePitch(a.k);
  const int64_t most = TileRows(a.k) / kBlockRows * kBlockRows;
  const int64_t row_tasks = (a.m + most - 1) / most;
  // Rows of a task, evened out, in whole blocks.
  const int64_t per_task =
      RoundUp((a.m + row_tasks - 1) / row_tasks, kBlockRows);
  // Columns are split as far as threads want, in runs long enough to pay for
  // copying the rows (2 cycles for 16 values against 16 columns of FMA).
  constexpr int64_t kTasksPerThread = 6;
  const int64_t want =
      (kTasksPerThread * context.pool->threads() + row_tasks - 1) / row_tasks;
  const int64_t run =
      std::max(RoundUp((panels + want - 1) / want, kBlockPanels), int64_t{8});
  const int64_t column_tasks = (panels + run - 1) / run;
  const size_t mine = static_cast<size_t>(TileRows(a.k) * pitch);

  context.pool->ParallelFor(
      row_tasks * column_tasks, [&](int64_t task, int thread) {
        float* x = static_cast<float*>(static_cast<void*>(context.scratch)) +
                   static_cast<size_t>(thread) * mine;
        const int64_t m = task / column_tasks * per_task;
        const int64_t rows = std::min(per_task, a.m - m);
        for (int64_t i = 0; i < rows; ++i)
          WidenAs(a.x_type, a.x, (m + i) * a.x_stride, a.k, x + i * pitch);
        if (rows % 2 != 0)
          std::memset(x + rows * pitch, 0,
                      static_cast<size_t>(a.k) * sizeof(float));
        const int64_t first = task % column_tasks * run;
        for (int64_t panel = first; panel < std::min(panels, first + run);
             panel += kBlockPanels)
          for (int64_t i = 0; i < rows; i += kBlockRows)
            TileRowsBlock<W>(a, x + i * pitch, m + i,
                             std::min(kBlockRows, rows - i), panel);
      });
}

// kRows rows over panels [first, last), kPanels at a time: enough chains in
// flight to hide the FMA's latency, few enough streams for the prefetcher.
template <int64_t kRows, int64_t kPanels, typename W>
HWY_INLINE int64_t RowPanels(const LinearArgs& a, const float* x,
                             int64_t x_stride, int64_t first, int64_t last) {
  constexpr int64_t kVecs = kPanels * kPanelVecs;
  for (; first + kPanels <= last; first += kPanels) {
    Sums<kRows, kVecs> sums;
    SumProducts<kRows, kVecs>(x, x_stride, PanelsAt<W>(a, first), a.k, sums);
    FinishBlock<kRows, kVecs>(a, sums, 0, kRows, first, kVecs);
  }
  return first;
}

template <int64_t kRows, typename W>
void LinearRowAs(const LinearArgs& a, const Context& context) {
  constexpr int64_t kFit = (kRegisters - 4) / (kRows * kPanelVecs);
  constexpr int64_t kPanels = kFit >= 8 ? 8 : kFit >= 4 ? 4 : kFit >= 2 ? 2 : 1;
  const float* x = static_cast<const float*>(a.x);
  int64_t x_stride = a.x_stride;
  if (a.x_type == DType::kBF16) {
    float* wide = static_cast<float*>(static_cast<void*>(context.scratch));
    for (int64_t m = 0; m < kRows; ++m)
      WidenAs(a.x_type, a.x, m * a.x_stride, a.k, wide + m * a.k);
    x = wide;
    x_stride = a.k;
  }
  const int64_t panels = RoundUp(a.n, kPanel) / kPanel;
  const int64_t groups = (panels + kPanels - 1) / kPanels;
  const int64_t tasks = std::min<int64_t>(groups, 4 * context.pool->threads());
  context.pool->ParallelFor(tasks, [&](int64_t task, int) {
    const int64_t first = groups * task / tasks * kPanels;
    const int64_t last =
        std::min(panels, groups * (task + 1) / tasks * kPanels);
    const int64_t rest =
        RowPanels<kRows, kPanels, W>(a, x, x_stride, first, last);
    RowPanels<kRows, 1, W>(a, x, x_stride, rest, last);
  });
}

template <typename W>
void LinearRowOf(const LinearArgs& a, const Context& context) {
  switch (a.m) {
    case 1:
      return LinearRowAs<1, W>(a, context);
    case 2:
      return LinearRowAs<2, W>(a, context);
    case 3:
      return LinearRowAs<3, W>(a, context);
    default:
      return LinearRowAs<4, W>(a, context);
  }
}

void LinearTile(const LinearArgs& a, const Context& context) {
  if (a.w_type == DType::kF32) return LinearTileAs<float>(a, context);
  if (a.w_type == DType::kF16) return LinearTileAs<F16>(a, context);
  return LinearTileAs<BF16>(a, context);
}

void LinearRow(const LinearArgs& a, const Context& context) {
  if (a.w_type == DType::kF32) return LinearRowOf<float>(a, context);
  if (a.w_type == DType::kF16) return LinearRowOf<F16>(a, context);
  return LinearRowOf<BF16>(a, context);
}

}  // namespace sotto::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include "cpu/simd/dispatch.h"

namespace sotto::cpu {

size_t SimdLinearTileScratch(const LinearArgs& args, int threads) {
  return static_cast<size_t>(TileRows(args.k) * TilePitch(args.k) * threads) *
         sizeof(float);
}

size_t SimdLinearRowScratch(const LinearArgs& args, int /*threads*/) {
  if (args.x_type == DType::kF32) return 0;
  return static_cast<size_t>(args.m * args.k) * sizeof(float);
}

SOTTO_RESOLVE(SimdLinearTile, LinearArgs, LinearTile)
SOTTO_RESOLVE(SimdLinearRow, LinearArgs, LinearRow)

}  // namespace sotto::cpu
#endif  // HWY_ONCE
