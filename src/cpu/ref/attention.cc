// SPDX-License-Identifier: MIT
// The meaning of Attention, CachedAttention and KvWrite. Softmax in two passes
// over a whole row of scores, sums in double.
#include <algorithm>
#include <cmath>
#include <limits>

#include "cpu/ref/access.h"
#include "cpu/ref/ref.h"

namespace sotto::cpu {
namespace {

// Turns scores[0, count) into weights that sum to one.
void Softmax(double* scores, int64_t count) {
  double peak = -std::numeric_limits<double>::infinity();
  for (int64_t i = 0; i < count; ++i) peak = std::max(peak, scores[i]);
  double sum = 0;
  for (int64_t i = 0; i < count; ++i) {
    scores[i] = std::exp(scores[i] - peak);
    sum += scores[i];
  }
  for (int64_t i = 0; i < count; ++i) scores[i] /= sum;
}

double* ThreadScores(const Context& context, int thread, int64_t count) {
  return static_cast<double*>(static_cast<void*>(context.scratch)) +
         thread * count;
}

}  // namespace

size_t AttentionRefScratch(const AttentionArgs& args, int threads) {
  return static_cast<size_t>(args.t * threads) * sizeof(double);
}

void AttentionRef(const AttentionArgs& a, const Context& context) {
  context.pool->ParallelFor(
      a.batch * a.heads * a.t, [&](int64_t task, int thread) {
        double* scores = ThreadScores(context, thread, a.t);
        const int64_t row = task % a.t;
        const int64_t head = task / a.t % a.heads;
        const int64_t first = task / a.t / a.heads * a.t;  // of the batch row
        const int64_t column = head * a.head_dim;
        const RowsIn q{a.q, a.x_type, a.q_stride};
        const RowsIn k{a.k, a.x_type, a.k_stride};
        const RowsIn v{a.v, a.x_type, a.v_stride};
        for (int64_t i = 0; i < a.t; ++i) {
          double dot = 0;
          for (int64_t d = 0; d < a.head_dim; ++d)
            dot += static_cast<double>(LoadRow(q, first + row, column + d)) *
                   static_cast<double>(LoadRow(k, first + i, column + d));
          scores[i] = dot * static_cast<double>(a.scale);
        }
        Softmax(scores, a.t);
        for (int64_t d = 0; d < a.head_dim; ++d) {
          double sum = 0;
          for (int64_t i = 0; i < a.t; ++i)
            sum += scores[i] *
                   static_cast<double>(LoadRow(v, first + i, column + d));
          StoreElement(a.y, a.y_type, (first + row) * a.y_stride + column + d,
                       static_cast<float>(sum));
        }
      });
}

size_t CachedAttentionRefScratch(const CachedAttentionArgs& args, int threads) {
  return static_cast<size_t>(args.extent * threads) * sizeof(double);
}

void CachedAttentionRef(const CachedAttentionArgs& a, const Context& context) {
  context.pool->ParallelFor(a.batch * a.tokens * a.heads, [&](int64_t task,
                                                              int thread) {
    double* scores = ThreadScores(context, thread, a.extent);
    const int64_t head = task % a.heads;
    const int64_t row = task / a.heads;
    const int64_t batch = row / a.tokens;
    const int64_t length =
        a.causal
            ? std::min<int64_t>(a.pos[batch] + row % a.tokens + 1, a.extent)
            : a.extent;
    const int64_t base = a.slot[batch] * a.slot_stride + head * a.head_stride;
    const int64_t column = head * a.head_dim;
    const RowsIn q{a.q, a.q_type, a.q_stride};
    for (int64_t i = 0; i < length; ++i) {
      double dot = 0;
      for (int64_t d = 0; d < a.head_dim; ++d) {
        const int64_t at =
            base + KvIndex(a.kv_type, ir::KvKind::kKey, a.head_dim, i, d);
        dot += static_cast<double>(LoadRow(q, row, column + d)) *
               static_cast<double>(LoadElement(a.k, a.kv_type, at));
      }
      scores[i] = dot * static_cast<double>(a.scale);
    }
    Softmax(scores, length);
    for (int64_t d = 0; d < a.head_dim; ++d) {
      double sum = 0;
      for (int64_t i = 0; i < length; ++i) {
        const int64_t at =
            base + KvIndex(a.kv_type, ir::KvKind::kValue, a.head_dim, i, d);
        sum += scores[i] * static_cast<double>(LoadElement(a.v, a.kv_type, at));
      }
      StoreElement(a.y, a.y_type, row * a.y_stride + column + d,
                   static_cast<float>(sum));
    }
  });
}

void KvWriteRef(const KvWriteArgs& a, const Context& context) {
  context.pool->ParallelFor(a.batch * a.tokens, [&](int64_t row, int) {
    const int64_t slot = a.slot[row / a.tokens];
    const int64_t position = a.pos[row / a.tokens] + row % a.tokens;
    if (slot < 0 || slot >= a.slots) return;
    if (position < 0 || position >= a.positions) return;
    for (int64_t head = 0; head < a.heads; ++head) {
      const int64_t base = slot * a.slot_stride + head * a.head_stride;
      for (int64_t d = 0; d < a.head_dim; ++d)
        StoreElement(
            a.state, a.state_type,
            base + KvIndex(a.state_type, a.kind, a.head_dim, position, d),
            LoadRow(a.rows, row, head * a.head_dim + d));
    }
  });
}

}  // namespace sotto::cpu
