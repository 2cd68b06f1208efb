// SPDX-License-Identifier: MIT
// Linear in bf16 for few rows: reading the weights is all the work, so they
// are read once for all rows, and each thread reads a stretch of them.
#include <algorithm>

#include "cpu/x86/dot_pairs.h"
#include "cpu/x86/dot_tile_order.h"
#include "cpu/x86/epilogue.h"
#include "cpu/x86/rows.h"
#include "cpu/x86/x86.h"

namespace sotto::cpu {
namespace x86 {
namespace {

template <typename Order>
SOTTO_AVX512 void RunPanels(const LinearArgs& args, const BF16* x,
                            int64_t panel0, int64_t panel_end) {
  alignas(64) float sums[24 * kPanel];
  DotBlock block;
  block.a_stride = PaddedK(DType::kBF16, args.k);
  block.pairs = Order::Pairs(args.k);
  block.b_panel = block.a_stride * kPanel;
  block.c = sums;
  // Sixteen rows are 6 + 6 + 4 or so for an order with fewer at once; what
  // the first of them fetched is then in the cache for the others.
  const int64_t most = std::min<int64_t>(args.m, Order::kMaxRows);
  const int64_t step = Order::PanelsFor(most);
  for (int64_t p = panel0; p < panel_end; p += step) {
    const int64_t wide = std::min(step, panel_end - p);
    block.b = static_cast<const BF16*>(args.w) + p * block.b_panel;
    block.c_stride = wide * kPanel;
    const int64_t next = p + step < panel_end ? step : 0;
    block.next = block.b + next * block.b_panel;
    for (int64_t r = 0; r < args.m; r += most) {
      const int64_t high = std::min(most, args.m - r);
      block.a = x + r * block.a_stride;
      Order::Dot(high, wide, block);
      FinishBlock(args, r, p * kPanel, high, wide, sums, block.c_stride);
    }
  }
}

SOTTO_AVX512 void CopyAll(const LinearArgs& args, BF16* to) {
  CopyRows(args, 0, args.m, to, PaddedK(DType::kBF16, args.k));
}

template <typename Order>
void Run(const LinearArgs& args, const Context& context) {
  BF16* const x = As<BF16>(context.scratch);
  CopyAll(args, x);
  // Stretches of 256 KiB at least: the first group of each is not fetched
  // ahead. Four a thread where there is more, so that threads end together.
  const int64_t threads = context.pool->threads();
  const int64_t panels = (args.n + kPanel - 1) / kPanel;
  const int64_t panel_bytes = PaddedK(DType::kBF16, args.k) * kPanel * 2;
  const int64_t wanted = threads == 1 ? 1 : 4 * threads;
  const int64_t least =
      std::min((panels + threads - 1) / threads, (256 << 10) / panel_bytes + 1);
  const int64_t block =
      RoundUp(std::max(least, (panels + wanted - 1) / wanted), 4);
  context.pool->ParallelFor(
      (panels + block - 1) / block, [&](int64_t task, int) {
        RunPanels<Order>(args, x, task * block,
                         std::min(panels, (task + 1) * block));
      });
}

size_t Scratch(const LinearArgs& args) {
  return static_cast<size_t>(args.m * PaddedK(DType::kBF16, args.k)) *
         sizeof(BF16);
}

}  // namespace
}  // namespace x86

void LinearAvx512RowBf16(const LinearArgs& args, const Context& context) {
  x86::Run<x86::PairsOrder>(args, context);
}
size_t LinearAvx512RowBf16Scratch(const LinearArgs& args, int /*threads*/) {
  return x86::Scratch(args);
}

void LinearAmxRowBf16(const LinearArgs& args, const Context& context) {
  x86::Run<x86::TileOrder>(args, context);
}
size_t LinearAmxRowBf16Scratch(const LinearArgs& args, int /*threads*/) {
  return x86::Scratch(args);
}

}  // namespace sotto::cpu
