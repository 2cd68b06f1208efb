// SPDX-License-Identifier: MIT
// Flash attention with tiles. For a group of 32 rows and 128 keys the tile
// unit has 64 products of 16 cycles to do, and the vector units some 2000
// cycles of exponentials: done one after the other, each waits for the other.
// So while a block's maxima are found the tile unit multiplies the values of
// the block before, and while its probabilities are found, the scores of the
// block after. What is computed, and in which order for each element, is what
// attention_core.h says.
#pragma once

#include "cpu/x86/attention_core.h"
#include "cpu/x86/dot_tiles.h"

namespace sotto::cpu::x86 {

// Rows done with each step of a product: a block's products have eight steps.
inline constexpr int64_t kRowsPerStep = 4;

template <int64_t R>
struct TopsWork {
  GroupSpace<R>& space;
  const float* scores;
  int64_t rows;
  KeyBlock block;
  int64_t next = 0;

  SOTTO_AMX_INLINE void Do(int64_t count) {
    const int64_t end = std::min(rows, next + count);
    if (next < end) FindTops(space, scores, next, end, block);
    next = end;
  }
  SOTTO_AMX_INLINE void Step() { Do(kRowsPerStep); }
  SOTTO_AMX_INLINE void Finish() { Do(rows); }
};

template <int64_t R>
struct ProbabilitiesWork {
  GroupSpace<R>& space;
  const float* scores;
  int64_t rows;
  KeyBlock block;
  float c;
  int64_t next = 0;

  SOTTO_AMX_INLINE void Do(int64_t count) {
    const int64_t end = std::min(rows, next + count);
    if (next < end) FindProbabilities(space, scores, next, end, block, c);
    next = end;
  }
  SOTTO_AMX_INLINE void Step() { Do(kRowsPerStep); }
  SOTTO_AMX_INLINE void Finish() { Do(rows); }
};

template <typename Tiles, int64_t R, typename Work>
SOTTO_AMX void MultiplyValues(TilesOrder<Tiles>& order, GroupSpace<R>& space,
                              int64_t rows, const PackedHead& head,
                              const KeyBlock& block, Work& work) {
  const ValueProducts values =
      ValuesOf<TilesOrder<Tiles>>(space, head, block, nullptr);
  if (values.whole.pairs > 0)
    order.Multiply(rows, kHeadDim / kPanel, values.whole, work);
  if (values.tail.pairs > 0)
    order.Multiply(rows, kHeadDim / kPanel, values.tail, work);
}

template <typename Tiles, int64_t R>
SOTTO_AMX void Attend(TilesOrder<Tiles>& order, GroupSpace<R>& space,
                      int64_t rows, const PackedHead& head, float scale) {
  const float c = scale * kLog2E;
  const int64_t longest = *std::max_element(space.length, space.length + rows);
  NoWork none;
  StartGroup(space, rows);
  KeyBlock now(0, longest), before = now;
  float* scores = space.scores[0];
  float* other = space.scores[1];
  order.Multiply(rows, now.width() / kPanel, ScoresOf(space, scores, head, now),
                 none);
  while (now.seen > 0) {
    TopsWork<R> tops{space, scores, rows, now};
    if (now.start > 0) MultiplyValues(order, space, rows, head, before, tops);
    tops.Finish();
    RaiseMax(space, rows, now, c);
    const KeyBlock after(now.start + kKeyBlock, longest);
    ProbabilitiesWork<R> probabilities{space, scores, rows, now, c};
    if (after.seen > 0)
      order.Multiply(rows, after.width() / kPanel,
                     ScoresOf(space, other, head, after), probabilities);
    probabilities.Finish();
    std::swap(scores, other);
    before = now;
    now = after;
  }
  MultiplyValues(order, space, rows, head, before, none);
}

}  // namespace sotto::cpu::x86
