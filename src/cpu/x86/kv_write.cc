// SPDX-License-Identifier: MIT
#include <algorithm>

#include "cpu/x86/pack_kv.h"
#include "cpu/x86/target.h"
#include "cpu/x86/x86.h"

namespace sotto::cpu {
namespace x86 {
namespace {

// Tokens that one task writes, of one head.
constexpr int64_t kTaskTokens = 128;

// Tokens [first, last) of one head of one batch row go to consecutive
// positions of its state.
struct HeadWrite {
  HeadRows rows;
  BF16* state;
  int64_t position;  // of token 0
  int64_t first, last;
};

// One position: its values are two or 64 bytes apart in the state.
SOTTO_AVX512 void WriteOne(const HeadWrite& w, ir::KvKind kind, int64_t token) {
  alignas(64) BF16 row[kX86HeadDim];
  const int64_t at = w.rows.at + token * w.rows.stride;
  for (int64_t d = 0; d < kX86HeadDim; d += kLanes)
    _mm256_store_si256(
        static_cast<__m256i*>(static_cast<void*>(row + d)),
        w.rows.type == DType::kBF16
            ? LoadRowBF16(static_cast<const BF16*>(w.rows.data) + at + d,
                          0xffff)
            : LoadRowBF16(static_cast<const float*>(w.rows.data) + at + d,
                          0xffff));
  for (int64_t d = 0; d < kX86HeadDim; ++d)
    w.state[KvIndex(DType::kBF16, kind, kX86HeadDim, w.position + token, d)] =
        row[d];
}

void WriteHead(const HeadWrite& w, ir::KvKind kind) {
  const int64_t whole = kind == ir::KvKind::kKey ? kPanel : 2;
  for (int64_t s = w.first; s < w.last;) {
    const int64_t position = w.position + s;
    if (position % whole != 0 || w.last - s < whole) {
      WriteOne(w, kind, s++);
    } else if (kind == ir::KvKind::kKey) {
      PackKeyPanel(w.rows, s, w.state + position * kX86HeadDim);
      s += kPanel;
    } else {
      const int64_t pairs = (w.last - s) / 2;
      PackValuePairs(w.rows, s, pairs, w.state + position * kX86HeadDim);
      s += 2 * pairs;
    }
  }
}

// Tokens [first, last) of a batch row, those that the state has a place for.
void WriteTokens(const KvWriteArgs& a, int64_t batch, int64_t head,
                 int64_t first, int64_t last) {
  const int64_t slot = a.slot[batch];
  if (slot < 0 || slot >= a.slots) return;
  const int64_t position = a.pos[batch];
  WriteHead(
      {.rows = {.data = a.rows.data,
                .type = a.rows.type,
                .at = batch * a.tokens * a.rows.stride + head * kX86HeadDim,
                .stride = a.rows.stride,
                .count = a.tokens},
       .state = static_cast<BF16*>(a.state) + slot * a.slot_stride +
                head * a.head_stride,
       .position = position,
       .first = std::max(first, -position),
       .last = std::min(last, a.positions - position)},
      a.kind);
}

}  // namespace
}  // namespace x86

void KvWriteBf16(const KvWriteArgs& a, const Context& context) {
  const int64_t runs = (a.tokens + x86::kTaskTokens - 1) / x86::kTaskTokens;
  // A token or two are written sooner than handed out.
  const int64_t heads = a.tokens <= 2 ? 1 : a.heads;
  context.pool->ParallelFor(a.batch * heads * runs, [&](int64_t task, int) {
    const int64_t batch = task / runs / heads;
    const int64_t first = task % runs * x86::kTaskTokens;
    const int64_t last = std::min(a.tokens, first + x86::kTaskTokens);
    const int64_t begin = heads == 1 ? 0 : task / runs % heads;
    const int64_t end = heads == 1 ? a.heads : begin + 1;
    for (int64_t head = begin; head < end; ++head)
      x86::WriteTokens(a, batch, head, first, last);
  });
}

}  // namespace sotto::cpu
