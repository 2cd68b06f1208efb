// SPDX-License-Identifier: MIT
// Attention over KV states, f32 sums, over f32 or bf16 states, for one query
// row or many.
//
// Bound: each (row, head) reads its keys and values once, 2 length 64 values
// of 4 or 2 bytes: memory, or L2 and L3 where the states fit there.
#include <algorithm>

#include "cpu/simd/simd.h"
#include "cpu/simd/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/simd/cached_attention.cc"
#include "hwy/foreach_target.h"
// After foreach_target.
#include "cpu/simd/attention-inl.h"
#include "hwy/highway.h"

#ifndef SOTTO_CPU_SIMD_CACHED_ATTENTION_ONCE_
#define SOTTO_CPU_SIMD_CACHED_ATTENTION_ONCE_
namespace sotto::cpu {

// Query rows of a task: two register blocks read each block of keys.
inline int64_t CachedChunk(const CachedAttentionArgs& args) {
  const int64_t chunk = args.q_chunk > 0 ? args.q_chunk : 2 * kMostBlockRows;
  return std::min(args.tokens, chunk);
}

}  // namespace sotto::cpu
#endif

HWY_BEFORE_NAMESPACE();
namespace sotto::cpu::HWY_NAMESPACE {

template <typename T>
void CachedAttentionAs(const CachedAttentionArgs& a, const Context& context) {
  const int64_t h = a.head_dim;
  const int64_t chunk = CachedChunk(a);
  const int64_t chunks = (a.tokens + chunk - 1) / chunk;
  float* scratch = static_cast<float*>(static_cast<void*>(context.scratch));
  context.pool->ParallelFor(a.batch * a.heads * chunks, [&](int64_t task,
                                                            int thread) {
    const int64_t first = task % chunks * chunk;
    const int64_t head = task / chunks % a.heads;
    const int64_t batch = task / chunks / a.heads;
    const int64_t rows = std::min(chunk, a.tokens - first);
    const AttentionRows at = AttentionRows::At(
        scratch + thread * AttentionRows::Floats(chunk, h), chunk, h);
    for (int64_t i = 0; i < rows; ++i)
      LoadQuery(a.q_type, a.q,
                (batch * a.tokens + first + i) * a.q_stride + head * h, h,
                a.scale, at.q + i * h);
    const int64_t base = a.slot[batch] * a.slot_stride + head * a.head_stride;
    const HeadKv<T> kv{static_cast<const T*>(a.k) + base,
                       static_cast<const T*>(a.v) + base, h};
    AttendChunk(kv, at, rows, [&](int64_t row) {
      if (!a.causal) return a.extent;
      return std::min<int64_t>(a.pos[batch] + first + row + 1, a.extent);
    });
    for (int64_t i = 0; i < rows; ++i)
      StoreAnswerAs(a.y_type, at, i, h, a.y,
                    (batch * a.tokens + first + i) * a.y_stride + head * h);
  });
}

void CachedAttention(const CachedAttentionArgs& a, const Context& context) {
  if (a.kv_type == DType::kBF16) return CachedAttentionAs<BF16>(a, context);
  return CachedAttentionAs<float>(a, context);
}

}  // namespace sotto::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include "cpu/simd/dispatch.h"

namespace sotto::cpu {

size_t SimdCachedAttentionScratch(const CachedAttentionArgs& args,
                                  int threads) {
  return static_cast<size_t>(threads * AttentionRows::Floats(CachedChunk(args),
                                                             args.head_dim)) *
         sizeof(float);
}

SOTTO_RESOLVE(SimdCachedAttention, CachedAttentionArgs, CachedAttention)

}  // namespace sotto::cpu
#endif  // HWY_ONCE
