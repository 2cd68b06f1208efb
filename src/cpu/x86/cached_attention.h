// SPDX-License-Identifier: MIT
// Attention over cached states: one row for a lone stream, a few for a beam,
// hundreds for a prompt; the same sums for each row in all cases.
#pragma once

#include <algorithm>

#include "cpu/x86/attention_core.h"

namespace sotto::cpu::x86 {

// Below this many rows tiles would be mostly empty, and reading the states is
// all the work.
inline constexpr int64_t kFewRows = 4;

// Neighbouring batch rows with one slot (beams of one window): their tokens
// are rows of one matrix and share what is read.
struct SlotRun {
  int64_t batch = 0;  // first of the run
  int64_t count = 0;  // batch rows in it
};

inline SlotRun RunAt(const CachedAttentionArgs& args, int64_t batch) {
  SlotRun run{.batch = batch, .count = 1};
  while (run.batch + run.count < args.batch &&
         args.slot[run.batch + run.count] == args.slot[run.batch])
    ++run.count;
  return run;
}

// Rows that a task takes at once.
template <typename Order>
int64_t GroupRows(const CachedAttentionArgs& args) {
  return args.q_chunk > 0 ? std::min<int64_t>(args.q_chunk, Order::kGroup)
                          : Order::kGroup;
}

// A group of rows of one run and one head.
struct CachedTask {
  int64_t row = 0, rows = 0;  // of q and y
  int64_t head = 0, slot = 0;
};

// Walks the runs: returns how many tasks there are and writes the one of
// number `wanted`. Groups of a head come one after the other, so that its
// states stay in the cache.
inline int64_t FindTask(const CachedAttentionArgs& args, int64_t group,
                        int64_t wanted, CachedTask& found) {
  int64_t tasks = 0;
  for (int64_t b = 0; b < args.batch;) {
    const SlotRun run = RunAt(args, b);
    const int64_t rows = run.count * args.tokens;
    const int64_t groups = (rows + group - 1) / group;
    if (wanted >= tasks && wanted < tasks + groups * args.heads) {
      const int64_t skip = (wanted - tasks) % groups * group;
      found = {.row = b * args.tokens + skip,
               .rows = std::min(group, rows - skip),
               .head = (wanted - tasks) / groups,
               .slot = args.slot[b]};
    }
    tasks += groups * args.heads;
    b += run.count;
  }
  return tasks;
}

template <int64_t R>
void SetLengths(const CachedAttentionArgs& args, const CachedTask& task,
                GroupSpace<R>& space) {
  for (int64_t r = 0; r < task.rows; ++r) {
    const int64_t row = task.row + r;
    const int64_t seen = args.pos[row / args.tokens] + row % args.tokens + 1;
    space.length[r] = args.causal ? std::min(seen, args.extent) : args.extent;
  }
}

template <typename Many, typename Few>
SOTTO_AVX512 void RunCachedTask(const CachedAttentionArgs& args, int64_t number,
                                GroupSpace<Many::kGroup>& space) {
  CachedTask task;
  FindTask(args, GroupRows<Many>(args), number, task);
  SetLengths(args, task, space);
  const int64_t column = task.head * kHeadDim;
  LoadQueries(space, args.q, args.q_type, task.row * args.q_stride + column,
              args.q_stride, task.rows);
  const int64_t at =
      task.slot * args.slot_stride + task.head * args.head_stride;
  const PackedHead head{.k = static_cast<const BF16*>(args.k) + at,
                        .v = static_cast<const BF16*>(args.v) + at,
                        .unclean = true};
  if (task.rows <= kFewRows) {
    Few order;
    Attend(order, space, task.rows, head, args.scale);
  } else {
    Many order;
    Attend(order, space, task.rows, head, args.scale);
  }
  StoreResults(space, args.y, args.y_type, task.row * args.y_stride + column,
               args.y_stride, task.rows);
}

template <typename Many>
size_t CachedScratch(int threads) {
  return static_cast<size_t>(threads) * sizeof(GroupSpace<Many::kGroup>);
}

template <typename Many, typename Few>
void RunCached(const CachedAttentionArgs& args, const Context& context) {
  auto* const spaces = As<GroupSpace<Many::kGroup>>(context.scratch);
  CachedTask none;
  context.pool->ParallelFor(FindTask(args, GroupRows<Many>(args), -1, none),
                            [&](int64_t task, int thread) {
                              RunCachedTask<Many, Few>(args, task,
                                                       spaces[thread]);
                            });
}

}  // namespace sotto::cpu::x86
