// SPDX-License-Identifier: MIT
// Linear in bf16 with tiles, for many rows.
//
// A task is a block of rows by a stretch of panels. Its rows stay in the
// second cache; two panels at a time, in chunks of 512 along k, are 32 KiB and
// stay in the first while 32 rows after the other pass by. Rows are loaded
// with the hint that they need not enter the first cache, where they would
// displace the panels. A 2 x 2 block then takes 64 cycles of the unit for each
// 32 of k and reads 2 KiB from the second cache: 32 bytes a cycle, of the 48
// or so that it gives. The chunk that comes next is fetched from the third
// cache or memory meanwhile.
//
// Bias, GELU, residual and rounding of a finished block are done row by row
// between the products of the next: the GELU of two registers costs some 30
// cycles of the vector units, and for k = 512 two such rows go with each of 16
// steps, whose products keep the tile unit busy for 64 cycles.
#pragma once

#include <algorithm>

#include "base/cpu.h"
#include "cpu/x86/dot_tiles.h"
#include "cpu/x86/epilogue.h"
#include "cpu/x86/rows.h"

namespace sotto::cpu::x86 {

inline constexpr int64_t kBlockRows = 32;
inline constexpr int64_t kBlockColumns = 2 * kPanel;
inline constexpr int64_t kBlockSums = kBlockRows * kBlockColumns;
inline constexpr int64_t kChunk = 512;  // of k

// How the output is cut into tasks, and what each thread needs.
struct TileCut {
  int64_t padded_k, row_block, row_tasks, panel_block, panel_tasks;
  bool copy_all;  // rows of x cannot be read in place

  TileCut(const LinearArgs& a, int threads)
      : padded_k(PaddedK(DType::kBF16, a.k)),
        copy_all(a.x_type != DType::kBF16 || a.k % kTileDepth != 0) {
    constexpr int64_t kMostRows = 256;
    const auto cache = static_cast<int64_t>(HostCaches().l2);
    const int64_t fit = cache * 2 / 5 / (padded_k * 2);
    const int64_t most = std::clamp<int64_t>(fit / kBlockRows * kBlockRows,
                                             kBlockRows, kMostRows);
    // As many row tasks for each thread as for any other.
    row_tasks = (a.m + most - 1) / most;
    if (row_tasks > 1) row_tasks = RoundUp(row_tasks, threads);
    row_block = RoundUp((a.m + row_tasks - 1) / row_tasks, kBlockRows);
    row_tasks = (a.m + row_block - 1) / row_block;

    const int64_t pairs = (a.n + kBlockColumns - 1) / kBlockColumns;
    const int64_t wanted = threads == 1 ? 1 : 4 * threads;
    panel_tasks =
        std::clamp<int64_t>((wanted + row_tasks - 1) / row_tasks, 1, pairs);
    panel_block = (pairs + panel_tasks - 1) / panel_tasks * 2;
    panel_tasks = (2 * pairs + panel_block - 1) / panel_block;
  }

  int64_t blocks() const { return row_block / kBlockRows; }
  // Rows that are copied: all of a task, or the last block where it is short.
  int64_t copy_bytes() const {
    return (copy_all ? row_block : kBlockRows) * padded_k * 2;
  }
  int64_t thread_bytes() const {
    return copy_bytes() + blocks() * kBlockSums * 4;
  }
};

// Rows of a finished block that are still to be done. All that a row needs
// stands ready, and small objects like this are held by value in the loops:
// memory is reloaded after each tile instruction, registers are not.
class Pending {
 public:
  SOTTO_AMX_INLINE void Start(const LinearArgs& args, const float* sums,
                              int64_t row, int64_t column, int64_t rows) {
    sums_ = sums;
    left_ = rows;
    for (int p = 0; p < 2; ++p)
      lanes_[p] = FirstLanes(args.n - column - p * kPanel);
    bias_ = args.bias == nullptr ? nullptr : args.bias + column;
    gelu_ = args.act == ir::Activation::kGelu;
    bf16_ = args.y_type == DType::kBF16;
    y_ = static_cast<char*>(args.y) +
         (row * args.y_stride + column) * (bf16_ ? 2 : 4);
    y_step_ = args.y_stride * (bf16_ ? 2 : 4);
    residual_ = nullptr;
    if (args.residual == nullptr) return;
    const int64_t from = row % args.residual_rows;
    residual_ = args.residual + from * args.residual_stride + column;
    residual_step_ = args.residual_stride;
    residual_left_ = args.residual_rows - from;
    residual_all_ = args.residual_rows * args.residual_stride;
    residual_rows_ = args.residual_rows;
  }
  SOTTO_AMX_INLINE void Do(int64_t rows) {
    const int64_t end = std::max<int64_t>(0, left_ - rows);
    for (; left_ > end; --left_) DoRow();
  }
  SOTTO_AMX_INLINE void DoAll() { Do(left_); }

 private:
  SOTTO_AMX_INLINE void DoRow() {
    __m512 low = _mm512_load_ps(sums_);
    __m512 high = _mm512_load_ps(sums_ + kPanel);
    sums_ += kBlockColumns;
    if (bias_ != nullptr) {
      low = _mm512_add_ps(low, LoadRow(bias_, lanes_[0]));
      high = _mm512_add_ps(high, LoadRow(bias_ + kPanel, lanes_[1]));
    }
    if (gelu_) {
      low = Gelu(low);
      high = Gelu(high);
    }
    if (residual_ != nullptr) {
      low = _mm512_add_ps(low, LoadRow(residual_, lanes_[0]));
      high = _mm512_add_ps(high, LoadRow(residual_ + kPanel, lanes_[1]));
      NextResidual();
    }
    if (bf16_) {
      BF16* const y = static_cast<BF16*>(static_cast<void*>(y_));
      StoreRow(y, lanes_[0], low);
      StoreRow(y + kPanel, lanes_[1], high);
    } else {
      float* const y = static_cast<float*>(static_cast<void*>(y_));
      StoreRow(y, lanes_[0], low);
      StoreRow(y + kPanel, lanes_[1], high);
    }
    y_ += y_step_;
  }
  SOTTO_AMX_INLINE void NextResidual() {
    residual_ += residual_step_;
    if (--residual_left_ > 0) return;
    residual_ -= residual_all_;
    residual_left_ = residual_rows_;
  }

  const float* sums_ = nullptr;
  int64_t left_ = 0;
  __mmask16 lanes_[2] = {0, 0};
  bool gelu_ = false, bf16_ = false;
  const float* bias_ = nullptr;
  char* y_ = nullptr;
  int64_t y_step_ = 0;
  const float* residual_ = nullptr;
  int64_t residual_step_ = 0, residual_left_ = 0, residual_all_ = 0,
          residual_rows_ = 0;
};

// Fetches the panels of the next chunk into the second cache, some lines with
// each step of this one.
class NextChunk {
 public:
  // `lines` of each of two panels, within `steps` steps; a few more at most.
  SOTTO_AMX_INLINE void Start(const char* at, int64_t second, int64_t lines,
                              int64_t steps) {
    at_ = at;
    second_ = second;
    each_ = (lines + steps - 1) / steps * 64;
  }
  SOTTO_AMX_INLINE void Step() {
    const char* const end = at_ + each_;
    for (; at_ < end; at_ += 64) {
      _mm_prefetch(at_, _MM_HINT_T1);
      _mm_prefetch(at_ + second_, _MM_HINT_T1);
    }
  }

 private:
  const char* at_ = nullptr;
  int64_t second_ = 0, each_ = 0;  // bytes
};

// One task of a thread.
template <typename Tiles>
class LinearTask {
 public:
  SOTTO_AMX LinearTask(const LinearArgs& args, const TileCut& cut,
                       int64_t number, std::byte* space)
      : args_(args),
        cut_(cut),
        row0_(number / cut.panel_tasks * cut.row_block),
        rows_(std::min(cut.row_block, args.m - row0_)),
        panels_((args.n + kPanel - 1) / kPanel),
        panel0_(number % cut.panel_tasks * cut.panel_block),
        panel_end_(std::min(panels_, panel0_ + cut.panel_block)),
        copy_(As<BF16>(space)),
        sums_(As<float>(space + cut.copy_bytes())) {}

  SOTTO_AMX void Run() {
    CopyTiles();
    // One row a cycle: a batch of a few rows does not pay for sixteen.
    Tiles tiles(DotConfig(std::min(kTileRows, args_.m)));
    for (int64_t p = panel0_; p < panel_end_; p += 2)
      for (int64_t k = 0; k < cut_.padded_k; k += kChunk) RunChunk(tiles, p, k);
    pending_.DoAll();
  }

 private:
  // Rows that cannot be read in place, as tiles one after the other: step by
  // step along k, the two halves of 32 rows side by side.
  SOTTO_AMX void CopyTiles() {
    first_copied_ = cut_.copy_all ? 0 : rows_ / kBlockRows * kBlockRows;
    for (int64_t r = first_copied_; r < rows_; ++r) {
      const int64_t at = (row0_ + r) * args_.x_stride;
      const int64_t local = r - first_copied_;
      BF16* to = copy_ + local / kBlockRows * kBlockRows * cut_.padded_k +
                 local % kBlockRows * kTileDepth;
      if (args_.x_type == DType::kBF16) {
        CopyRowTiles(static_cast<const BF16*>(args_.x) + at, to);
      } else {
        CopyRowTiles(static_cast<const float*>(args_.x) + at, to);
      }
    }
    // Tiles are whole where the last rows do not fill theirs.
    if (args_.m < kTileRows) return;
    for (int64_t r = rows_; r % kTileRows != 0; ++r) {
      const int64_t local = r - first_copied_;
      BF16* to = copy_ + local / kBlockRows * kBlockRows * cut_.padded_k +
                 local % kBlockRows * kTileDepth;
      for (int64_t k = 0; k < cut_.padded_k; k += kTileDepth)
        _mm512_storeu_si512(to + k * kBlockRows, _mm512_setzero_si512());
    }
  }

  template <typename T>
  SOTTO_AMX_INLINE void CopyRowTiles(const T* from, BF16* to) {
    for (int64_t k = 0; k < cut_.padded_k; k += kTileDepth)
      CopyRow(from + k, args_.k - k, kTileDepth, to + k * kBlockRows);
  }

  SOTTO_AMX_INLINE TileSource Rows(int64_t r, int64_t k) const {
    if (r >= first_copied_) {
      const BF16* at =
          copy_ + (r - first_copied_) * cut_.padded_k + k * kBlockRows;
      return {.at = Bytes(at),
              .row = 64,
              .step = 2 * kTileBytes,
              .second = kTileBytes};
    }
    const int64_t stride = args_.x_stride * 2;
    return {.at = Bytes(args_.x) + (row0_ + r) * stride + k * 2,
            .row = stride,
            .step = 64,
            .second = kTileRows * stride};
  }

  // All rows of the task against two panels, [k, k + kChunk).
  SOTTO_AMX void RunChunk(Tiles& tiles, int64_t panel, int64_t k) {
    const int64_t panel_bytes = cut_.padded_k * kPanel * 2;
    const int64_t depth = std::min(kChunk, cut_.padded_k - k);
    const char* b = Bytes(args_.w) + panel * panel_bytes + k * kPanel * 2;
    Prefetch(b, panel, k + depth, panel_bytes, depth);
    const bool two = panel + 1 < panel_end_;
    for (int64_t r = 0; r < rows_; r += kBlockRows) {
      if (rows_ - r > kTileRows) {
        two ? Block<2, 2>(tiles, panel, k, depth, r, b)
            : Block<2, 1>(tiles, panel, k, depth, r, b);
      } else {
        two ? Block<1, 2>(tiles, panel, k, depth, r, b)
            : Block<1, 1>(tiles, panel, k, depth, r, b);
      }
    }
  }

  SOTTO_AMX_INLINE void Prefetch(const char* b, int64_t panel, int64_t k_end,
                                 int64_t panel_bytes, int64_t depth) {
    const bool same = k_end < cut_.padded_k;
    const int64_t steps =
        (rows_ + kBlockRows - 1) / kBlockRows * depth / kTileDepth;
    const char* next = same ? b + depth * kPanel * 2
                            : Bytes(args_.w) + (panel + 2) * panel_bytes;
    const int64_t next_depth = same ? std::min(kChunk, cut_.padded_k - k_end)
                               : panel + 3 < panel_end_
                                   ? std::min(kChunk, cut_.padded_k)
                                   : 0;
    next_chunk_.Start(next, panel_bytes, next_depth / 2, steps);
  }

  template <int H, int P>
  SOTTO_AMX void Block(Tiles& tiles, int64_t panel, int64_t k, int64_t depth,
                       int64_t r, const char* b) {
    float* sums = sums_ + r / kBlockRows * kBlockSums;
    TileSource a = Rows(r, k);
    const int64_t second = cut_.padded_k * kPanel * 2;
    if (k == 0) {
      ZeroSums<H, P>(tiles);
    } else {
      LoadSums<H, P>(tiles, sums, kBlockColumns * 4);
    }
    const int64_t steps = depth / kTileDepth;
    const int64_t rows_each = (kBlockRows + steps - 1) / steps;
    const bool last = k + depth == cut_.padded_k;
    Pending pending = pending_;
    NextChunk next_chunk = next_chunk_;
    ResidualAhead residual(args_, row0_ + r, panel * kPanel, P);
    for (int64_t step = 0; step < steps; ++step) {
      StepTiles<H, P, true>(tiles, a, b, 64, second);
      a.at += a.step;
      b += kTileBytes;
      next_chunk.Step();
      if (last) residual.Fetch(rows_each);
      pending.Do(rows_each);
    }
    // note: it may be these very sums that the block before was made of.
    pending.DoAll();
    next_chunk_ = next_chunk;
    StoreSums<H, P>(tiles, sums, kBlockColumns * 4);
    if (last)
      pending.Start(args_, sums, row0_ + r, panel * kPanel,
                    std::min(kBlockRows, rows_ - r));
    pending_ = pending;
  }

  const LinearArgs& args_;
  const TileCut& cut_;
  int64_t row0_, rows_, panels_, panel0_, panel_end_;
  BF16* copy_;
  float* sums_;
  int64_t first_copied_ = 0;
  Pending pending_;
  NextChunk next_chunk_;
};

template <typename Tiles>
SOTTO_AMX void RunLinearTask(const LinearArgs& args, const TileCut& cut,
                             int64_t number, std::byte* space) {
  LinearTask<Tiles>(args, cut, number, space).Run();
}

template <typename Tiles>
void RunLinearTiles(const LinearArgs& args, const Context& context) {
  const TileCut cut(args, context.pool->threads());
  context.pool->ParallelFor(
      cut.row_tasks * cut.panel_tasks, [&](int64_t task, int thread) {
        RunLinearTask<Tiles>(args, cut, task,
                             context.scratch + thread * cut.thread_bytes());
      });
}

inline size_t LinearTilesScratch(const LinearArgs& args, int threads) {
  return static_cast<size_t>(TileCut(args, threads).thread_bytes()) *
         static_cast<size_t>(threads);
}

}  // namespace sotto::cpu::x86
