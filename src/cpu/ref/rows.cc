// SPDX-License-Identifier: MIT
// The meaning of the ops that work on rows one by one. Sums in double.
#include <algorithm>
#include <cmath>

#include "cpu/ref/access.h"
#include "cpu/ref/ref.h"

namespace sotto::cpu {

void LayerNormRef(const LayerNormArgs& a, const Context& context) {
  context.pool->ParallelFor(a.m, [&](int64_t row, int) {
    double sum = 0;
    for (int64_t i = 0; i < a.n; ++i)
      sum += static_cast<double>(LoadRow(a.x, row, i));
    const double mean = sum / static_cast<double>(a.n);
    double squares = 0;
    for (int64_t i = 0; i < a.n; ++i) {
      const double off = static_cast<double>(LoadRow(a.x, row, i)) - mean;
      squares += off * off;
    }
    const double scale = 1 / std::sqrt(squares / static_cast<double>(a.n) +
                                       static_cast<double>(a.epsilon));
    for (int64_t i = 0; i < a.n; ++i) {
      const double off = static_cast<double>(LoadRow(a.x, row, i)) - mean;
      StoreRow(a.y, row, i,
               static_cast<float>(off * scale * static_cast<double>(a.w[i]) +
                                  static_cast<double>(a.b[i])));
    }
  });
}

void GeluRef(const MapArgs& a, const Context& context) {
  context.pool->ParallelFor(a.m, [&](int64_t row, int) {
    for (int64_t i = 0; i < a.n; ++i)
      StoreRow(a.y, row, i,
               static_cast<float>(
                   GeluExact(static_cast<double>(LoadRow(a.x, row, i)))));
  });
}

void CastRef(const MapArgs& a, const Context& context) {
  context.pool->ParallelFor(a.m, [&](int64_t row, int) {
    for (int64_t i = 0; i < a.n; ++i)
      StoreRow(a.y, row, i, LoadRow(a.x, row, i));
  });
}

void AddRef(const AddArgs& a, const Context& context) {
  context.pool->ParallelFor(a.m, [&](int64_t row, int) {
    for (int64_t i = 0; i < a.n; ++i)
      StoreRow(a.y, row, i,
               LoadRow(a.a, row, i) + LoadRow(a.b, row % a.b_rows, i));
  });
}

void TransposeRef(const TransposeArgs& a, const Context& context) {
  context.pool->ParallelFor(a.batch * a.cols, [&](int64_t task, int) {
    const int64_t column = task % a.cols;
    const int64_t first = task / a.cols * a.rows * a.cols;
    for (int64_t row = 0; row < a.rows; ++row)
      StoreElement(a.y, a.type, task * a.rows + row,
                   LoadElement(a.x, a.type, first + row * a.cols + column));
  });
}

void EmbedRef(const EmbedArgs& a, const Context& context) {
  const int64_t padded = PaddedK(a.table_type, a.width);
  context.pool->ParallelFor(a.batch * a.tokens, [&](int64_t row, int) {
    const int64_t id = std::clamp<int64_t>(a.ids[row], 0, a.vocab - 1);
    const int64_t position = std::clamp<int64_t>(
        a.pos[row / a.tokens] + row % a.tokens, 0, a.max_positions - 1);
    for (int64_t i = 0; i < a.width; ++i)
      StoreRow(a.y, row, i,
               LoadElement(a.table, a.table_type,
                           PackedIndex(a.table_type, padded, id, i)) +
                   a.positions[position * a.width + i]);
  });
}

void SelectRowsRef(const SelectRowsArgs& a, const Context& context) {
  context.pool->ParallelFor(a.batch * a.count, [&](int64_t row, int) {
    const int64_t from = row / a.count * a.tokens +
                         std::clamp<int64_t>(a.rows[row], 0, a.tokens - 1);
    for (int64_t i = 0; i < a.width; ++i)
      StoreRow(a.y, row, i, LoadRow(a.x, from, i));
  });
}

}  // namespace sotto::cpu
