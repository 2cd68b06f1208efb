// SPDX-License-Identifier: MIT
// Flash attention over packed keys and values, one function for the encoder
// and for cached states, for rows and for tiles.
//
// Scores of a group of rows against kKeyBlock keys, a running maximum and sum
// in f32, probabilities rounded to bf16 for the product with the values. The
// sum is of the rounded ones: then the weights of the values add up to one
// whatever rounding did, and an error of 2^-8 in a probability counts only by
// how far its value is from the result. What happens to a row does not depend
// on the rows beside it: keys it does not see have probability zero, and
// adding zero products changes nothing.
#pragma once

#include <algorithm>
#include <limits>

#include "cpu/x86/dot.h"
#include "cpu/x86/exp.h"
#include "cpu/x86/rows.h"
#include "cpu/x86/x86.h"

namespace sotto::cpu::x86 {

inline constexpr int64_t kHeadDim = kX86HeadDim;

// What one thread needs for a group of at most R rows: small enough to stay
// in the first and second cache with a block of keys and values.
template <int64_t R>
struct alignas(64) GroupSpace {
  // Two blocks of scores where one is multiplied while the other is used.
  float scores[2][R * kKeyBlock];
  float out[R * kHeadDim];
  float sum[R * kLanes];  // lane j: of positions 2j, 2j + 1 modulo 32
  alignas(64) float top[RoundUp(R, kLanes)];    // largest score of a block
  alignas(64) float max[RoundUp(R, kLanes)];    // in units of log 2, scaled
  alignas(64) float decay[RoundUp(R, kLanes)];  // 2^(old max - new max)
  alignas(64) BF16 q[R * kHeadDim];
  alignas(64) BF16 p[R * kKeyBlock];
  alignas(64) BF16 tail[kTileDepth * kHeadDim];  // values, zeros at the end
  int64_t length[R];                             // keys that the row sees
};

// Keys and values of one head, in the layouts of kernel.h.
struct PackedHead {
  const BF16* k;
  const BF16* v;
  // Values beyond the length are not zeros but anything, even NaN.
  bool unclean = false;
};

// Keys [start, start + seen); none beyond the last row's length.
struct KeyBlock {
  int64_t start, seen;

  KeyBlock(int64_t from, int64_t longest)
      : start(from), seen(std::clamp<int64_t>(longest - from, 0, kKeyBlock)) {}
  int64_t width() const { return RoundUp(seen, kTileDepth); }
};

// c (+)= a b, cut into the blocks that the order's inner loop takes. `next` is
// what will be read after b.
template <typename Order>
SOTTO_AVX512 void Product(Order& order, int64_t rows, int64_t panels,
                          const DotBlock& whole) {
  const int64_t most = std::min<int64_t>(rows, Order::kRows);
  const int64_t step = Order::PanelsFor(most);
  for (int64_t p = 0; p < panels; p += step) {
    const int64_t wide = std::min(step, panels - p);
    DotBlock block = whole;
    block.b = whole.b + p * whole.b_panel;
    block.next = whole.next + p * whole.b_panel;
    for (int64_t r = 0; r < rows; r += most) {
      block.a = whole.a + r * whole.a_stride;
      block.c = whole.c + r * whole.c_stride + p * kLanes;
      order.Dot(std::min(most, rows - r), wide, block);
    }
  }
}

// The largest of `width` scores of a row, of those that it sees.
SOTTO_AVX512_INLINE float TopScore(const float* scores, int64_t seen,
                                   int64_t width) {
  __m512 high = _mm512_set1_ps(-std::numeric_limits<float>::infinity());
  if (seen >= kKeyBlock) {
#pragma GCC unroll 8
    for (int64_t i = 0; i < kKeyBlock; i += kLanes)
      high = _mm512_max_ps(high, _mm512_load_ps(scores + i));
  } else {
    for (int64_t i = 0; i < width; i += kLanes)
      high = _mm512_mask_max_ps(high, FirstLanes(seen - i), high,
                                _mm512_load_ps(scores + i));
  }
  return _mm512_reduce_max_ps(high);
}

// Finds the tops of rows [first, last).
template <int64_t R>
SOTTO_AVX512 void FindTops(GroupSpace<R>& space, const float* scores,
                           int64_t first, int64_t last, const KeyBlock& block) {
  for (int64_t r = first; r < last; ++r)
    space.top[r] = TopScore(scores + r * kKeyBlock,
                            space.length[r] - block.start, block.width());
}

// max <- max(max, c * top), decay <- what older sums shrink by.
template <int64_t R>
SOTTO_AVX512 void RaiseMax(GroupSpace<R>& space, int64_t rows,
                           const KeyBlock& block, float c) {
  for (int64_t r = 0; r < rows; r += kLanes) {
    const __mmask16 lanes = FirstLanes(rows - r);
    const __m512 old = _mm512_load_ps(space.max + r);
    const __m512 scaled = _mm512_mul_ps(
        _mm512_maskz_load_ps(lanes, space.top + r), _mm512_set1_ps(c));
    const __m512 raised = _mm512_max_ps(old, scaled);
    _mm512_store_ps(space.decay + r, block.start == 0
                                         ? _mm512_set1_ps(1)
                                         : Exp2(_mm512_sub_ps(old, raised)));
    _mm512_store_ps(space.max + r, raised);
  }
}

// Two registers of probabilities: stored as bf16, and these added to the sum
// by one product with ones.
SOTTO_AVX512_INLINE __m512 TakeProbabilities(__m512 low, __m512 high,
                                             __m512 sum, BF16* p) {
  const __m512bh rounded = _mm512_cvtne2ps_pbh(high, low);
  _mm512_store_si512(p, __builtin_bit_cast(__m512i, rounded));
  const __m512bh ones = AsPairs(_mm512_set1_epi32(0x3f803f80));
  return _mm512_dpbf16_ps(sum, rounded, ones);
}

// Probabilities of a row against a block, into p and sum.
template <int64_t R>
SOTTO_AVX512_INLINE void RowProbabilities(GroupSpace<R>& space,
                                          const float* scores, int64_t r,
                                          const KeyBlock& block, __m512 c) {
  BF16* p = space.p + r * kKeyBlock;
  const __m512 max = _mm512_set1_ps(space.max[r]);
  const int64_t seen = space.length[r] - block.start;
  const int64_t width = block.width();
  __m512 sum = _mm512_mul_ps(_mm512_load_ps(space.sum + r * kLanes),
                             _mm512_set1_ps(space.decay[r]));
  if (seen >= kKeyBlock) {
#pragma GCC unroll 4
    for (int64_t i = 0; i < kKeyBlock; i += 2 * kLanes)
      sum = TakeProbabilities(
          Exp2(_mm512_fmsub_ps(_mm512_load_ps(scores + i), c, max)),
          Exp2(_mm512_fmsub_ps(_mm512_load_ps(scores + i + kLanes), c, max)),
          sum, p + i);
  } else {
    for (int64_t i = 0; i < width; i += 2 * kLanes)
      sum = TakeProbabilities(
          _mm512_maskz_mov_ps(
              FirstLanes(seen - i),
              Exp2(_mm512_fmsub_ps(_mm512_load_ps(scores + i), c, max))),
          _mm512_maskz_mov_ps(
              FirstLanes(seen - i - kLanes),
              Exp2(_mm512_fmsub_ps(_mm512_load_ps(scores + i + kLanes), c,
                                   max))),
          sum, p + i);
  }
  _mm512_store_ps(space.sum + r * kLanes, sum);
  if (space.decay[r] == 1.0f) return;  // the maximum stood
  const __m512 decay = _mm512_set1_ps(space.decay[r]);
  float* out = space.out + r * kHeadDim;
  for (int64_t i = 0; i < kHeadDim; i += kLanes)
    _mm512_store_ps(out + i, _mm512_mul_ps(_mm512_load_ps(out + i), decay));
}

// Probabilities of rows [first, last).
template <int64_t R>
SOTTO_AVX512 void FindProbabilities(GroupSpace<R>& space, const float* scores,
                                    int64_t first, int64_t last,
                                    const KeyBlock& block, float c) {
  const __m512 factor = _mm512_set1_ps(c);
  for (int64_t r = first; r < last; ++r)
    RowProbabilities(space, scores + r * kKeyBlock, r, block, factor);
}

// Copies the last values, up to a whole tile's depth, with zeros in place of
// whatever stands beyond `count` positions: zero times NaN would be NaN.
SOTTO_AVX512_INLINE void CopyTail(const BF16* v, int64_t count, BF16* to) {
  for (int64_t pair = 0; pair < kTileDepth / 2; ++pair) {
    const int64_t left = count - 2 * pair;
    const __mmask32 lanes = left >= 2   ? 0xffffffffu
                            : left == 1 ? 0x55555555u
                                        : 0u;
    for (int64_t i = 0; i < 2 * kHeadDim; i += 32)
      _mm512_store_si512(
          to + pair * 2 * kHeadDim + i,
          _mm512_maskz_loadu_epi16(lanes, v + pair * 2 * kHeadDim + i));
  }
}

// q k for a block, into one of the two arrays of scores.
template <int64_t R>
SOTTO_AVX512 DotBlock ScoresOf(GroupSpace<R>& space, float* scores,
                               const PackedHead& head, const KeyBlock& block) {
  return {.a = space.q,
          .a_stride = kHeadDim,
          .b = head.k + block.start * kHeadDim,
          .b_panel = kPanel * kHeadDim,
          .pairs = kHeadDim / 2,
          .c = scores,
          .c_stride = kKeyBlock,
          .next = head.v + block.start * kHeadDim};
}

// out (+)= p v for a block: one product, and one more for the last positions
// where what follows them may be anything.
struct ValueProducts {
  DotBlock whole, tail;  // pairs 0: nothing to do
};
template <typename Order, int64_t R>
SOTTO_AVX512 ValueProducts ValuesOf(GroupSpace<R>& space,
                                    const PackedHead& head,
                                    const KeyBlock& block, const BF16* next) {
  const int64_t clean =
      head.unclean ? block.seen / kTileDepth * kTileDepth : block.seen;
  ValueProducts products;
  DotBlock& whole = products.whole;
  whole = {.a = space.p,
           .a_stride = kKeyBlock,
           .b = head.v + block.start * kHeadDim,
           .b_step = 2 * kHeadDim,
           .b_panel = 2 * kPanel,
           .pairs = Order::Pairs(clean),
           .c = space.out,
           .c_stride = kHeadDim,
           .add = block.start != 0,
           .next = next};
  if (clean == block.seen) return products;
  CopyTail(whole.b + clean * kHeadDim, block.seen - clean, space.tail);
  products.tail = whole;
  products.tail.a += clean;
  products.tail.b = products.tail.next = space.tail;
  products.tail.pairs = Order::Pairs(block.seen - clean);
  products.tail.add = whole.add || clean > 0;
  return products;
}

template <int64_t R>
SOTTO_AVX512 void StartGroup(GroupSpace<R>& space, int64_t rows) {
  std::fill_n(space.max, RoundUp(R, kLanes),
              -std::numeric_limits<float>::infinity());
  std::fill_n(space.sum, rows * kLanes, 0.0f);
}

// Attention of `rows` rows in space.q, row r over the first space.length[r]
// keys; the result, before division by the sum, in space.out. Tiles have a
// way of their own (attention_tiles.h).
template <typename Order, int64_t R>
SOTTO_AVX512 void Attend(Order& order, GroupSpace<R>& space, int64_t rows,
                         const PackedHead& head, float scale) {
  const float c = scale * kLog2E;
  const int64_t longest = *std::max_element(space.length, space.length + rows);
  float* const scores = space.scores[0];
  StartGroup(space, rows);
  for (int64_t start = 0; start < longest; start += kKeyBlock) {
    const KeyBlock block(start, longest);
    Product(order, rows, block.width() / kPanel,
            ScoresOf(space, scores, head, block));
    FindTops(space, scores, 0, rows, block);
    RaiseMax(space, rows, block, c);
    FindProbabilities(space, scores, 0, rows, block, c);
    const bool last = start + kKeyBlock >= longest;
    const ValueProducts values = ValuesOf<Order>(
        space, head, block,
        last ? head.k : head.k + (start + kKeyBlock) * kHeadDim);
    if (values.whole.pairs > 0)
      Product(order, rows, kHeadDim / kPanel, values.whole);
    if (values.tail.pairs > 0)
      Product(order, rows, kHeadDim / kPanel, values.tail);
  }
}

// out / sum, into a row of the result.
template <typename T, int64_t R>
SOTTO_AVX512_INLINE void StoreResult(const GroupSpace<R>& space, int64_t r,
                                     T* y) {
  const float sum =
      _mm512_reduce_add_ps(_mm512_load_ps(space.sum + r * kLanes));
  const __m512 inverse = _mm512_set1_ps(1.0f / sum);
  for (int64_t i = 0; i < kHeadDim; i += kLanes) {
    // note: adding zero makes +0 of -0, the one trace that products with
    // probabilities of zero can leave.
    const __m512 value =
        _mm512_fmadd_ps(_mm512_load_ps(space.out + r * kHeadDim + i), inverse,
                        _mm512_setzero_ps());
    StoreRow(y + i, 0xffff, value);
  }
}

// Brings `rows` rows of one head of q into the group, as bf16.
template <int64_t R>
SOTTO_AVX512 void LoadQueries(GroupSpace<R>& space, const void* q, DType type,
                              int64_t at, int64_t stride, int64_t rows) {
  for (int64_t r = 0; r < rows; ++r, at += stride) {
    BF16* to = space.q + r * kHeadDim;
    if (type == DType::kBF16) {
      CopyRow(static_cast<const BF16*>(q) + at, kHeadDim, kHeadDim, to);
    } else {
      CopyRow(static_cast<const float*>(q) + at, kHeadDim, kHeadDim, to);
    }
  }
}

// Writes the group's results.
template <int64_t R>
SOTTO_AVX512 void StoreResults(const GroupSpace<R>& space, void* y, DType type,
                               int64_t at, int64_t stride, int64_t rows) {
  for (int64_t r = 0; r < rows; ++r, at += stride) {
    if (type == DType::kBF16) {
      StoreResult(space, r, static_cast<BF16*>(y) + at);
    } else {
      StoreResult(space, r, static_cast<float*>(y) + at);
    }
  }
}

}  // namespace sotto::cpu::x86
