// SPDX-License-Identifier: MIT
// Self-attention of the encoder, over any order of sums.
#pragma once

#include <algorithm>

#include "cpu/x86/attention_core.h"
#include "cpu/x86/pack_kv.h"
#include "cpu/x86/rows.h"

namespace sotto::cpu::x86 {

// Scratch: packed keys and values of all heads, then one GroupSpace a thread.
template <typename Order>
struct AttentionCut {
  using Space = GroupSpace<Order::kGroup>;
  // Rows that a task takes at a time; several groups share what they read of
  // keys and values in the second cache.
  static constexpr int64_t kTaskRows = 2 * Order::kGroup;

  int64_t head_elements, heads, task_rows, row_tasks;

  explicit AttentionCut(const AttentionArgs& args)
      : head_elements(KvPositions(args.t) * kHeadDim),
        heads(args.batch * args.heads),
        task_rows(RoundUp(args.q_chunk > 0 ? args.q_chunk : kTaskRows,
                          Order::kGroup)),
        row_tasks((args.t + task_rows - 1) / task_rows) {}

  size_t PackedBytes() const {
    return static_cast<size_t>(2 * heads * head_elements) * sizeof(BF16);
  }
};

// Rows [first, first + rows) of one head, group by group.
template <typename Order>
SOTTO_AVX512 void AttendRows(const AttentionArgs& args, int64_t batch,
                             int64_t head, int64_t first, int64_t rows,
                             const PackedHead& packed,
                             GroupSpace<Order::kGroup>& space) {
  Order order;
  std::fill_n(space.length, Order::kGroup, args.t);
  const int64_t column = head * kHeadDim;
  for (int64_t r = 0; r < rows; r += Order::kGroup) {
    const int64_t high = std::min<int64_t>(Order::kGroup, rows - r);
    const int64_t row = batch * args.t + first + r;
    LoadQueries(space, args.q, args.x_type, row * args.q_stride + column,
                args.q_stride, high);
    Attend(order, space, high, packed, args.scale);
    StoreResults(space, args.y, args.y_type, row * args.y_stride + column,
                 args.y_stride, high);
  }
}

// Keys and values of 32 positions of one head, zeros beyond the last. `k` and
// `v` are the head's own.
inline void PackPositions(const AttentionArgs& args, int64_t batch,
                          int64_t head, int64_t start, BF16* k, BF16* v) {
  const int64_t row = batch * args.t, column = head * kHeadDim;
  const HeadRows keys{.data = args.k,
                      .type = args.x_type,
                      .at = row * args.k_stride + column,
                      .stride = args.k_stride,
                      .count = args.t};
  const HeadRows values{.data = args.v,
                        .type = args.x_type,
                        .at = row * args.v_stride + column,
                        .stride = args.v_stride,
                        .count = args.t};
  for (int64_t i = start; i < start + kTileDepth; i += kPanel)
    PackKeyPanel(keys, i, k + i * kHeadDim);
  PackValuePairs(values, start, kTileDepth / 2, v + start * kHeadDim);
}

template <typename Order>
size_t AttentionScratch(const AttentionArgs& args, int threads) {
  const AttentionCut<Order> cut(args);
  return cut.PackedBytes() + static_cast<size_t>(threads) *
                                 sizeof(typename AttentionCut<Order>::Space);
}

template <typename Order>
void RunAttention(const AttentionArgs& args, const Context& context) {
  const AttentionCut<Order> cut(args);
  BF16* const keys = As<BF16>(context.scratch);
  BF16* const values = keys + cut.heads * cut.head_elements;
  auto* const spaces = As<typename AttentionCut<Order>::Space>(
      context.scratch + cut.PackedBytes());

  const int64_t blocks = KvPositions(args.t) / kTileDepth;
  context.pool->ParallelFor(cut.heads * blocks, [&](int64_t task, int) {
    const int64_t at = task / blocks;
    PackPositions(args, at / args.heads, at % args.heads,
                  task % blocks * kTileDepth, keys + at * cut.head_elements,
                  values + at * cut.head_elements);
  });
  context.pool->ParallelFor(
      cut.heads * cut.row_tasks, [&](int64_t task, int thread) {
        const int64_t at = task / cut.row_tasks;
        const int64_t first = task % cut.row_tasks * cut.task_rows;
        AttendRows<Order>(args, at / args.heads, at % args.heads, first,
                          std::min(cut.task_rows, args.t - first),
                          {.k = keys + at * cut.head_elements,
                           .v = values + at * cut.head_elements},
                          spaces[thread]);
      });
}

}  // namespace sotto::cpu::x86
