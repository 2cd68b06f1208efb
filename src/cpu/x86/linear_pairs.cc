// SPDX-License-Identifier: MIT
// Linear in bf16 with vdpbf16ps, for many rows.
#include <algorithm>

#include "base/cpu.h"
#include "cpu/x86/dot_pairs.h"
#include "cpu/x86/epilogue.h"
#include "cpu/x86/rows.h"
#include "cpu/x86/x86.h"

namespace sotto::cpu {
namespace x86 {
namespace {

// How the output is cut into tasks. A task's rows stay in half of the second
// cache while its panels stream past.
struct Cut {
  int64_t padded_k, row_block, row_tasks, panel_block, panel_tasks;

  Cut(const LinearArgs& a, int threads) : padded_k(PaddedK(DType::kBF16, a.k)) {
    constexpr int64_t kMostRows = 192;
    const auto cache = static_cast<int64_t>(HostCaches().l2);
    const int64_t fit = cache / 2 / (padded_k * 2);
    row_block = std::clamp<int64_t>(fit, PairsOrder::kRows, kMostRows);
    row_block =
        std::min(RoundUp(row_block - PairsOrder::kRows + 1, PairsOrder::kRows),
                 RoundUp(a.m, PairsOrder::kRows));
    row_tasks = (a.m + row_block - 1) / row_block;
    const int64_t groups = (a.n + kPanel * PairsOrder::kPanels - 1) /
                           (kPanel * PairsOrder::kPanels);
    // Four tasks a thread even out what the system takes from one of them.
    const int64_t wanted = threads == 1 ? 1 : 4 * threads;
    panel_tasks =
        std::clamp<int64_t>((wanted + row_tasks - 1) / row_tasks, 1, groups);
    panel_block =
        (groups + panel_tasks - 1) / panel_tasks * PairsOrder::kPanels;
    panel_tasks =
        (groups * PairsOrder::kPanels + panel_block - 1) / panel_block;
  }
  // Rows of x that cannot be read in place are copied.
  int64_t copy_stride() const { return padded_k + kTileDepth; }
};

SOTTO_AVX512 void RunTask(const LinearArgs& args, const Cut& cut, int64_t task,
                          BF16* copy) {
  const int64_t row0 = task / cut.panel_tasks * cut.row_block;
  const int64_t rows = std::min(cut.row_block, args.m - row0);
  const int64_t panels = (args.n + kPanel - 1) / kPanel;
  const int64_t panel0 = task % cut.panel_tasks * cut.panel_block;
  const int64_t panel_end = std::min(panels, panel0 + cut.panel_block);

  DotBlock block;
  block.pairs = PairsOrder::Pairs(args.k);
  block.b_panel = cut.padded_k * kPanel;
  block.a = static_cast<const BF16*>(args.x) + row0 * args.x_stride;
  block.a_stride = args.x_stride;
  if (MustCopyRows(args)) {
    CopyRows(args, row0, rows, copy, cut.copy_stride());
    block.a = copy;
    block.a_stride = cut.copy_stride();
  }
  const BF16* x = block.a;

  alignas(64) float sums[PairsOrder::kRows * PairsOrder::kPanels * kPanel];
  block.c = sums;
  for (int64_t p = panel0; p < panel_end; p += PairsOrder::kPanels) {
    const int64_t wide = std::min<int64_t>(PairsOrder::kPanels, panel_end - p);
    block.b = static_cast<const BF16*>(args.w) + p * block.b_panel;
    block.c_stride = wide * kPanel;
    block.next = block.b;
    for (int64_t r = 0; r < rows; r += PairsOrder::kRows) {
      const int64_t high = std::min<int64_t>(PairsOrder::kRows, rows - r);
      block.a = x + r * block.a_stride;
      ResidualAhead(args, row0 + r, p * kPanel, wide).Fetch(high);
      PairsOrder::Dot(high, wide, block);
      FinishBlock(args, row0 + r, p * kPanel, high, wide, sums, block.c_stride);
    }
  }
}

}  // namespace
}  // namespace x86

size_t LinearAvx512Bf16Scratch(const LinearArgs& args, int threads) {
  const x86::Cut cut(args, threads);
  if (!x86::MustCopyRows(args)) return 0;
  return static_cast<size_t>(cut.row_block * cut.copy_stride() * threads) *
         sizeof(BF16);
}

void LinearAvx512Bf16(const LinearArgs& args, const Context& context) {
  const x86::Cut cut(args, context.pool->threads());
  auto* const scratch = x86::As<BF16>(context.scratch);
  context.pool->ParallelFor(
      cut.row_tasks * cut.panel_tasks, [&](int64_t task, int thread) {
        x86::RunTask(args, cut, task,
                     scratch + thread * cut.row_block * cut.copy_stride());
      });
}

}  // namespace sotto::cpu
