// SPDX-License-Identifier: MIT
// The ops that work on rows one by one. All are bound by reading and writing
// their rows once, from L2 or L3 where the planner keeps them there; LayerNorm
// reads its row three times, from L1.
#include <algorithm>
#include <cmath>

#include "cpu/simd/simd.h"
#include "cpu/simd/targets.h"
#include "runtime/cross_attn_cache.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/simd/rows.cc"
#include "hwy/foreach_target.h"
// After foreach_target.
#include "cpu/simd/exp-inl.h"
#include "cpu/simd/vec-inl.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace sotto::cpu::HWY_NAMESPACE {

// Rows of a task: some 8000 values, 2-4 us, so that a decode step's few rows
// wake nobody.
HWY_INLINE int64_t RowsPerTask(int64_t width) {
  return std::max<int64_t>(1, 8192 / std::max<int64_t>(1, width));
}

template <typename F>
void ForRows(const Context& context, int64_t rows, int64_t width, const F& f) {
  const int64_t per_task = RowsPerTask(width);
  context.pool->ParallelFor(
      (rows + per_task - 1) / per_task, [&](int64_t task, int) {
        const int64_t last = std::min(rows, (task + 1) * per_task);
        for (int64_t row = task * per_task; row < last; ++row) f(row);
      });
}

// y[i] = f(i, x[i]) over vectors; the tail goes through a padded vector, so
// that every element sees the same arithmetic.
template <typename X, typename Y, typename F>
HWY_INLINE void MapRow(const X* x, int64_t n, Y* y, const F& f) {
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) Store(f(i, kLanes, Load(x + i)), y + i);
  if (i == n) return;
  HWY_ALIGN X in[kPanel] = {};
  HWY_ALIGN Y out[kPanel];
  for (int64_t j = i; j < n; ++j) in[j - i] = x[j];
  Store(f(i, n - i, Load(in)), out);
  for (int64_t j = i; j < n; ++j) y[j] = out[j - i];
}

// The first `count` values of a vector that may end before its last lane.
template <typename T>
HWY_INLINE V LoadFew(const T* from, int64_t count) {
  if (HWY_LIKELY(count >= kLanes)) return Load(from);
  HWY_ALIGN T few[kPanel] = {};
  for (int64_t i = 0; i < count; ++i) few[i] = from[i];
  return Load(few);
}

// Calls f(x row pointer, y row pointer) with the types of the arguments.
template <typename F>
HWY_INLINE void WithTypes(DType x_type, const void* x, int64_t x_at,
                          DType y_type, void* y, int64_t y_at, const F& f) {
  const auto with_x = [&](const auto* from) {
    if (y_type == DType::kBF16) {
      f(from, static_cast<BF16*>(y) + y_at);
    } else {
      f(from, static_cast<float*>(y) + y_at);
    }
  };
  if (x_type == DType::kBF16) {
    with_x(static_cast<const BF16*>(x) + x_at);
  } else {
    with_x(static_cast<const float*>(x) + x_at);
  }
}

template <typename X, typename Y>
HWY_INLINE void NormRow(const LayerNormArgs& a, const X* x, Y* y) {
  const D d;
  const float count = static_cast<float>(a.n);
  V total = hn::Zero(d);
  for (int64_t i = 0; i < a.n; i += kLanes)
    total = hn::Add(total, LoadFew(x + i, a.n - i));
  const V mean = hn::Set(d, hn::GetLane(hn::SumOfLanes(d, total)) / count);
  V squares = hn::Zero(d);
  for (int64_t i = 0; i < a.n; i += kLanes) {
    V off = hn::Sub(LoadFew(x + i, a.n - i), mean);
    if (HWY_UNLIKELY(a.n - i < kLanes))
      off =
          hn::IfThenElseZero(hn::FirstN(d, static_cast<size_t>(a.n - i)), off);
    squares = hn::MulAdd(off, off, squares);
  }
  const float variance = hn::GetLane(hn::SumOfLanes(d, squares)) / count;
  const V scale = hn::Set(d, 1.0f / std::sqrt(variance + a.epsilon));
  MapRow(x, a.n, y, [&](int64_t i, int64_t valid, V value) HWY_ATTR {
    const V off = hn::Mul(hn::Sub(value, mean), scale);
    return hn::MulAdd(off, LoadFew(a.w + i, valid), LoadFew(a.b + i, valid));
  });
}

void LayerNorm(const LayerNormArgs& a, const Context& context) {
  ForRows(context, a.m, a.n, [&](int64_t row) {
    WithTypes(a.x.type, a.x.data, row * a.x.stride, a.y.type, a.y.data,
              row * a.y.stride,
              [&](const auto* x, auto* y) { NormRow(a, x, y); });
  });
}

void GeluRows(const MapArgs& a, const Context& context) {
  ForRows(context, a.m, a.n, [&](int64_t row) {
    WithTypes(a.x.type, a.x.data, row * a.x.stride, a.y.type, a.y.data,
              row * a.y.stride, [&](const auto* x, auto* y) {
                MapRow(x, a.n, y, [](int64_t, int64_t, V value) HWY_ATTR {
                  return Gelu(value);
                });
              });
  });
}

void CastRows(const MapArgs& a, const Context& context) {
  ForRows(context, a.m, a.n, [&](int64_t row) {
    WithTypes(a.x.type, a.x.data, row * a.x.stride, a.y.type, a.y.data,
              row * a.y.stride, [&](const auto* x, auto* y) {
                MapRow(x, a.n, y, [](int64_t, int64_t, V value) HWY_ATTR {
                  return value;
                });
              });
  });
}

void AddRows(const AddArgs& a, const Context& context) {
  ForRows(context, a.m, a.n, [&](int64_t row) {
    const int64_t b_at = row % a.b_rows * a.b.stride;
    WithTypes(a.a.type, a.a.data, row * a.a.stride, a.y.type, a.y.data,
              row * a.y.stride, [&](const auto* x, auto* y) {
                const bool half = a.b.type == DType::kBF16;
                const BF16* b16 = static_cast<const BF16*>(a.b.data) + b_at;
                const float* b32 = static_cast<const float*>(a.b.data) + b_at;
                MapRow(x, a.n, y,
                       [&](int64_t i, int64_t valid, V value) HWY_ATTR {
                         return hn::Add(value, half ? LoadFew(b16 + i, valid)
                                                    : LoadFew(b32 + i, valid));
                       });
              });
  });
}

// Blocks of 16 x 16 keep both sides within a few cache lines.
template <typename T>
void TransposeAs(const TransposeArgs& a, const Context& context) {
  constexpr int64_t kSide = 16;
  const int64_t strips = (a.cols + kSide - 1) / kSide;
  context.pool->ParallelFor(a.batch * strips, [&](int64_t task, int) {
    const int64_t first = task % strips * kSide;
    const int64_t last = std::min(a.cols, first + kSide);
    const int64_t size = a.rows * a.cols;
    const T* x = static_cast<const T*>(a.x) + task / strips * size;
    T* y = static_cast<T*>(a.y) + task / strips * size;
    for (int64_t r = 0; r < a.rows; r += kSide)
      for (int64_t c = first; c < last; ++c)
        for (int64_t i = r; i < std::min(a.rows, r + kSide); ++i)
          y[c * a.rows + i] = x[i * a.cols + c];
  });
}

void Transpose(const TransposeArgs& a, const Context& context) {
  if (a.type == DType::kF32) return TransposeAs<float>(a, context);
  return TransposeAs<BF16>(a, context);
}

// One column of the table's panels, 16 or 32 elements apart.
template <typename T, typename Y>
void EmbedRow(const EmbedArgs& a, const T* table, int64_t id,
              const float* position, Y* y) {
  const int64_t padded = PaddedK(a.table_type, a.width);
  for (int64_t i = 0; i < a.width; ++i)
    StoreScalar(
        ToFloat(table[PackedIndex(a.table_type, padded, id, i)]) + position[i],
        y + i);
}

template <typename T>
void EmbedAs(const EmbedArgs& a, const Context& context) {
  ForRows(context, a.batch * a.tokens, a.width, [&](int64_t row) {
    const int64_t id = std::clamp<int64_t>(a.ids[row], 0, a.vocab - 1);
    const int64_t position = std::clamp<int64_t>(
        a.pos[row / a.tokens] + row % a.tokens, 0, a.max_positions - 1);
    const T* table = static_cast<const T*>(a.table);
    const float* offset = a.positions + position * a.width;
    if (a.y.type == DType::kBF16) {
      EmbedRow(a, table, id, offset,
               static_cast<BF16*>(a.y.data) + row * a.y.stride);
    } else {
      EmbedRow(a, table, id, offset,
               static_cast<float*>(a.y.data) + row * a.y.stride);
    }
  });
}

void Embed(const EmbedArgs& a, const Context& context) {
  if (a.table_type == DType::kF32) return EmbedAs<float>(a, context);
  if (a.table_type == DType::kF16) return EmbedAs<F16>(a, context);
  return EmbedAs<BF16>(a, context);
}

void SelectRows(const SelectRowsArgs& a, const Context& context) {
  ForRows(context, a.batch * a.count, a.width, [&](int64_t row) {
    const int64_t from = row / a.count * a.tokens +
                         std::clamp<int64_t>(a.rows[row], 0, a.tokens - 1);
    WithTypes(a.x.type, a.x.data, from * a.x.stride, a.y.type, a.y.data,
              row * a.y.stride, [&](const auto* x, auto* y) {
                MapRow(x, a.width, y, [](int64_t, int64_t, V value) HWY_ATTR {
                  return value;
                });
              });
  });
}

// Rows [first, last) of one batch row into one head's state.
template <typename T>
void WriteHead(const KvWriteArgs& a, int64_t batch, int64_t head, int64_t first,
               int64_t last) {
  const int64_t slot = a.slot[batch];
  if (slot < 0 || slot >= a.slots) return;
  const int64_t h = a.head_dim;
  T* state =
      static_cast<T*>(a.state) + slot * a.slot_stride + head * a.head_stride;
  HWY_ALIGN float row[kSimdMaxHeadDim];
  for (int64_t s = first; s < last; ++s) {
    const int64_t position = a.pos[batch] + s;
    if (position < 0 || position >= a.positions) continue;
    WidenAs(a.rows.type, a.rows.data,
            (batch * a.tokens + s) * a.rows.stride + head * h, h, row);
    for (int64_t d = 0; d < h; ++d)
      StoreScalar(row[d],
                  state + KvIndex(a.state_type, a.kind, h, position, d));
  }
}

// f32 values of a window go into an f32 state as they are, row for row: the
// update that the cross-attention operators mean. Keys stand in panels, bf16
// in pairs; those two are packed above. Fewer tokens than kUpdateTokens are
// sooner stored than described.
constexpr int64_t kUpdateTokens = 16;
void UpdateHead(const KvWriteArgs& a, int64_t batch, int64_t head,
                int64_t first, int64_t last) {
  const int64_t slot = a.slot[batch], position = a.pos[batch], h = a.head_dim;
  first = std::max(first, -position);
  last = std::min(last, a.positions - position);
  if (slot < 0 || slot >= a.slots || first >= last) return;
  const auto* rows = static_cast<const float*>(a.rows.data) +
                     (batch * a.tokens + first) * a.rows.stride + head * h;
  float* state = static_cast<float*>(a.state) + slot * a.slot_stride +
                 head * a.head_stride + (position + first) * h;
  const cross_attn::View cache{.data = state,
                               .element_bytes = sizeof(float),
                               .rank = 4,
                               .sizes = {1, 1, last - first, h},
                               .strides = {0, 0, h, 1}};
  cross_attn::View value = cache;
  // note: a view of a source has no const; the update only reads it.
  value.data = const_cast<float*>(rows);
  value.strides[2] = a.rows.stride;
  cross_attn::UpdateInPlace(value, cache, nullptr);
}

void KvWrite(const KvWriteArgs& a, const Context& context) {
  const int64_t run = RowsPerTask(a.head_dim);
  const int64_t runs = (a.tokens + run - 1) / run;
  // note: decoding writes one row per head; one task then writes all heads.
  const int64_t heads = a.tokens == 1 ? 1 : a.heads;
  context.pool->ParallelFor(a.batch * heads * runs, [&](int64_t task, int) {
    const int64_t first = task % runs * run;
    const int64_t last = std::min(a.tokens, first + run);
    const int64_t batch = task / runs / heads;
    const int64_t begin = heads == 1 ? 0 : task / runs % heads;
    const int64_t end = heads == 1 ? a.heads : begin + 1;
    const bool as_is = a.kind == ir::KvKind::kValue &&
                       a.rows.type == DType::kF32 &&
                       a.state_type == DType::kF32;
    for (int64_t head = begin; head < end; ++head) {
      if (as_is && last - first >= kUpdateTokens) {
        UpdateHead(a, batch, head, first, last);
      } else if (a.state_type == DType::kBF16) {
        WriteHead<BF16>(a, batch, head, first, last);
      } else {
        WriteHead<float>(a, batch, head, first, last);
      }
    }
  });
}

}  // namespace sotto::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include "cpu/simd/dispatch.h"

namespace sotto::cpu {

SOTTO_RESOLVE(SimdLayerNorm, LayerNormArgs, LayerNorm)
SOTTO_RESOLVE(SimdGelu, MapArgs, GeluRows)
SOTTO_RESOLVE(SimdCast, MapArgs, CastRows)
SOTTO_RESOLVE(SimdAdd, AddArgs, AddRows)
SOTTO_RESOLVE(SimdTranspose, TransposeArgs, Transpose)
SOTTO_RESOLVE(SimdEmbed, EmbedArgs, Embed)
SOTTO_RESOLVE(SimdSelectRows, SelectRowsArgs, SelectRows)
SOTTO_RESOLVE(SimdKvWrite, KvWriteArgs, KvWrite)

}  // namespace sotto::cpu
#endif  // HWY_ONCE
