// SPDX-License-Identifier: MIT
// The core of both attentions: some query rows of one head against keys and
// values in the KV layouts of kernel.h. Softmax runs along with the keys, in
// blocks of kKeyBlock; scores never leave the cache.
//
// Order of a row, whoever shares its register block: scores are chains over d;
// per block the maximum, then one exponential a key, sums of a vector's lanes
// folded once, and a chain over the block's keys is added to the rescaled
// answer. A row
// sees [0, length) and nothing else, so neither its neighbours nor the bucket
// change a bit of it.

#if defined(SOTTO_CPU_SIMD_ATTENTION_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SOTTO_CPU_SIMD_ATTENTION_INL_H_
#undef SOTTO_CPU_SIMD_ATTENTION_INL_H_
#else
#define SOTTO_CPU_SIMD_ATTENTION_INL_H_
#endif

#include <algorithm>
#include <limits>

#include "cpu/simd/attention_scratch.h"
#include "cpu/simd/exp-inl.h"
#include "cpu/simd/gemm-inl.h"

HWY_BEFORE_NAMESPACE();
namespace sotto::cpu::HWY_NAMESPACE {

// Keys and values of one (slot, head).
template <typename T>
struct HeadKv {
  const T* k;
  const T* v;
  int64_t head_dim;

  HWY_INLINE Columns<T> Keys(int64_t position) const {
    return {k + position * head_dim, kPanel * head_dim,
            kPanel * Columns<T>::kPerStep};
  }
  HWY_INLINE Columns<T> Values(int64_t position) const {
    return {v + position * head_dim, kPanel * Columns<T>::kPerStep,
            head_dim * Columns<T>::kPerStep};
  }
};

// scores[m][c] of kRows rows against columns [column, column + kVecs vectors)
// of which `vecs` are kept.
template <int64_t kRows, int64_t kVecs, typename T>
HWY_INLINE void ScoreVectors(const float* q, int64_t q_pitch,
                             const Columns<T>& keys, int64_t head_dim,
                             float* scores, int64_t vecs) {
  Sums<kRows, kVecs> sums;
  sums.Clear();
  AddProducts<kRows, kVecs>(q, q_pitch, keys, head_dim, sums);
  HWY_UNROLL(16)
  for (int64_t m = 0; m < kRows; ++m) HWY_UNROLL(16)
  for (int64_t j = 0; j < kVecs; ++j)
    if (j < vecs) Store(sums.v[m][j], scores + m * kKeyBlock + j * kLanes);
}

// A lone row wants more columns in flight than a block of rows does.
template <int64_t kRows>
inline constexpr int64_t kScorePanels =
    kRows == 1 ? 8 / kPanelVecs : kBlockPanels;

template <int64_t kRows, typename T>
HWY_INLINE void Scores(const float* q, int64_t q_pitch, const HeadKv<T>& kv,
                       int64_t position, int64_t count, float* scores) {
  constexpr int64_t kWide = kScorePanels<kRows>;
  const int64_t panels = (count + kPanel - 1) / kPanel;
  int64_t p = 0;
  for (; p + kWide <= panels; p += kWide)
    ScoreVectors<kRows, kWide * kPanelVecs>(
        q, q_pitch, kv.Keys(position + p * kPanel), kv.head_dim,
        scores + p * kPanel, kWide * kPanelVecs);
  for (; p < panels; ++p)
    ScoreVectors<kRows, kPanelVecs>(q, q_pitch, kv.Keys(position + p * kPanel),
                                    kv.head_dim, scores + p * kPanel,
                                    kPanelVecs);
}

// acc[m][d] += sum over `count` keys of p[m][i] v[i][d].
template <int64_t kRows, int64_t kVecs, typename T>
HWY_INLINE void WeighVectors(const float* p, const Columns<T>& values,
                             int64_t count, float* acc, int64_t acc_pitch) {
  Sums<kRows, kVecs> sums;
  sums.Clear();
  AddProducts<kRows, kVecs>(p, kKeyBlock, values, count, sums);
  HWY_UNROLL(16)
  for (int64_t m = 0; m < kRows; ++m) HWY_UNROLL(16)
  for (int64_t j = 0; j < kVecs; ++j) {
    float* to = acc + m * acc_pitch + j * kLanes;
    Store(hn::Add(Load(to), sums.v[m][j]), to);
  }
}

template <int64_t kRows, typename T>
HWY_INLINE void Weigh(const float* p, const HeadKv<T>& kv, int64_t position,
                      int64_t count, float* acc) {
  constexpr int64_t kWide = kRows == 1 ? 64 / kPanel : kBlockPanels;
  const int64_t panels = kv.head_dim / kPanel;
  Columns<T> values = kv.Values(position);
  int64_t d = 0;
  for (; d + kWide <= panels; d += kWide) {
    WeighVectors<kRows, kWide * kPanelVecs>(p, values, count, acc + d * kPanel,
                                            kv.head_dim);
    values.data += kWide * values.panel_stride;
  }
  for (; d < panels; ++d) {
    WeighVectors<kRows, kPanelVecs>(p, values, count, acc + d * kPanel,
                                    kv.head_dim);
    values.data += values.panel_stride;
  }
}

// Scores of one row and one block become weights in place; the row's running
// maximum, sum and outputs follow.
HWY_INLINE void SoftmaxBlock(float* scores, int64_t count, int64_t head_dim,
                             float* acc, float& peak, float& sum) {
  const D d;
  const V low = hn::Set(d, -std::numeric_limits<float>::infinity());
  const int64_t padded = RoundUp(count, kLanes);
  if (count != padded) {
    const auto keep =
        hn::FirstN(d, static_cast<size_t>(count - (padded - kLanes)));
    float* last = scores + padded - kLanes;
    Store(hn::IfThenElse(keep, Load(last), low), last);
  }
  V top = low;
  for (int64_t i = 0; i < padded; i += kLanes)
    top = hn::Max(top, Load(scores + i));
  const float next = std::max(peak, hn::GetLane(hn::MaxOfLanes(d, top)));
  const V next_v = hn::Set(d, next);
  V total = hn::Zero(d);
  for (int64_t i = 0; i < padded; i += kLanes) {
    const V weight = Exp(hn::Sub(Load(scores + i), next_v));
    total = hn::Add(total, weight);
    Store(weight, scores + i);
  }
  const float fold = hn::GetLane(Exp(hn::Set(d, peak - next)));
  sum = sum * fold + hn::GetLane(hn::SumOfLanes(d, total));
  if (next != peak) {
    const V fold_v = hn::Set(d, fold);
    for (int64_t i = 0; i < head_dim; i += kLanes)
      Store(hn::Mul(Load(acc + i), fold_v), acc + i);
  }
  peak = next;
}

// kRows computed, `rows` of them real, all with `count` keys from `position`.
template <int64_t kRows, typename T>
HWY_NOINLINE void AttendBlock(const HeadKv<T>& kv, const AttentionRows& at,
                              int64_t row, int64_t rows, int64_t position,
                              int64_t count) {
  float* acc = at.acc + row * kv.head_dim;
  Scores<kRows>(at.q + row * kv.head_dim, kv.head_dim, kv, position, count,
                at.scores);
  for (int64_t m = 0; m < rows; ++m)
    SoftmaxBlock(at.scores + m * kKeyBlock, count, kv.head_dim,
                 acc + m * kv.head_dim, at.peak[row + m], at.sum[row + m]);
  Weigh<kRows>(at.scores, kv, position, count, acc);
}

template <typename T>
void AttendRows(const HeadKv<T>& kv, const AttentionRows& at, int64_t row,
                int64_t rows, int64_t position, int64_t count) {
  if (rows == 1) return AttendBlock<1>(kv, at, row, 1, position, count);
  switch (RoundUp(rows, 2)) {
    case 2:
      return AttendBlock<2>(kv, at, row, rows, position, count);
    case 4:
      return AttendBlock<4>(kv, at, row, rows, position, count);
    case 6:
      return AttendBlock<6>(kv, at, row, rows, position, count);
    default:
      break;
  }
  if constexpr (kBlockRows > 6) {
    switch (RoundUp(rows, 2)) {
      case 8:
        return AttendBlock<8>(kv, at, row, rows, position, count);
      case 10:
        return AttendBlock<10>(kv, at, row, rows, position, count);
      case 12:
        return AttendBlock<12>(kv, at, row, rows, position, count);
      default:
        return AttendBlock<14>(kv, at, row, rows, position, count);
    }
  }
}

// Query rows [0, rows) of `at`, of which row i sees keys [0, length(i));
// lengths do not fall. Afterwards acc / sum is the answer.
template <typename T, typename Length>
void AttendChunk(const HeadKv<T>& kv, const AttentionRows& at, int64_t rows,
                 const Length& length) {
  std::fill_n(at.acc, RoundUp(rows, 2) * kv.head_dim, 0.0f);
  std::fill_n(at.peak, rows, -std::numeric_limits<float>::infinity());
  std::fill_n(at.sum, rows, 0.0f);
  for (int64_t position = 0; position < length(rows - 1);
       position += kKeyBlock) {
    const auto keys = [&](int64_t row) {
      return std::min(kKeyBlock, length(row) - position);
    };
    for (int64_t row = 0; row < rows; row += kBlockRows) {
      const int64_t last = std::min(rows, row + kBlockRows);
      if (keys(row) == keys(last - 1)) {
        if (keys(row) > 0)
          AttendRows(kv, at, row, last - row, position, keys(row));
        continue;
      }
      // The block where causal rows end: each has its own length.
      for (int64_t i = row; i < last; ++i)
        if (keys(i) > 0) AttendRows(kv, at, i, 1, position, keys(i));
    }
  }
}

// Row `row` of the answer into y.
template <typename Y>
HWY_INLINE void StoreAnswer(const AttentionRows& at, int64_t row,
                            int64_t head_dim, Y* y) {
  const V scale = hn::Set(D(), 1.0f / at.sum[row]);
  for (int64_t i = 0; i < head_dim; i += kLanes)
    Store(hn::Mul(Load(at.acc + row * head_dim + i), scale), y + i);
}

HWY_INLINE void StoreAnswerAs(DType type, const AttentionRows& at, int64_t row,
                              int64_t head_dim, void* y, int64_t offset) {
  if (type == DType::kBF16) {
    StoreAnswer(at, row, head_dim, static_cast<BF16*>(y) + offset);
  } else {
    StoreAnswer(at, row, head_dim, static_cast<float*>(y) + offset);
  }
}

// A query row, widened and scaled, so that scores need no more work.
HWY_INLINE void LoadQuery(DType type, const void* q, int64_t offset,
                          int64_t head_dim, float scale, float* to) {
  WidenAs(type, q, offset, head_dim, to);
  const V by = hn::Set(D(), scale);
  for (int64_t i = 0; i < head_dim; i += kLanes)
    Store(hn::Mul(Load(to + i), by), to + i);
}

}  // namespace sotto::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // SOTTO_CPU_SIMD_ATTENTION_INL_H_
