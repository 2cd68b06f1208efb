// SPDX-License-Identifier: MIT
// Self-attention of the encoder, f32 sums, over f32 or bf16 rows.
//
// Bounds, per head of t positions and 64 dimensions: 4 t^2 64 flops at the FMA
// units (14 x 32 blocks, as Linear), t^2 exponentials at some 20 instructions
// for 16 of them: a tenth of the whole. Keys and values are packed once per
// head (2 t 64 values), which costs a hundredth.
#include <algorithm>

#include "cpu/simd/simd.h"
#include "cpu/simd/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/simd/attention.cc"
#include "hwy/foreach_target.h"
// After foreach_target.
#include "cpu/simd/attention-inl.h"
#include "hwy/highway.h"

#ifndef SOTTO_CPU_SIMD_ATTENTION_ONCE_
#define SOTTO_CPU_SIMD_ATTENTION_ONCE_
namespace sotto::cpu {

// Query rows of a task: their outputs and a block of keys and values share
// L2, and each block of keys, read from L2, serves nine register blocks.
inline int64_t QueryChunk(const AttentionArgs& args) {
  const int64_t chunk = args.q_chunk > 0 ? args.q_chunk : 126;
  return std::min(chunk, args.t);
}

// Floats of one head's packed keys (or values).
inline int64_t PackedHead(const AttentionArgs& args) {
  return RoundUp(args.t, kTileDepth) * args.head_dim;
}

}  // namespace sotto::cpu
#endif

HWY_BEFORE_NAMESPACE();
namespace sotto::cpu::HWY_NAMESPACE {

// 16 rows of keys into one panel [head_dim][16], 16 rows of values below each
// other. Rows past the end are zeros: no garbage may slow the units down.
void PackPanel(const AttentionArgs& a, int64_t batch, int64_t head,
               int64_t panel, float* keys, float* values) {
  const int64_t h = a.head_dim;
  float* k = keys + panel * kPanel * h;
  float* v = values + panel * kPanel * h;
  HWY_ALIGN float row[kSimdMaxHeadDim];
  for (int64_t j = 0; j < kPanel; ++j) {
    const int64_t t = panel * kPanel + j;
    if (t >= a.t) {
      for (int64_t d = 0; d < h; ++d) k[d * kPanel + j] = 0;
      std::fill_n(v + j * h, h, 0.0f);
      continue;
    }
    WidenAs(a.x_type, a.k, (batch * a.t + t) * a.k_stride + head * h, h, row);
    for (int64_t d = 0; d < h; ++d) k[d * kPanel + j] = row[d];
    WidenAs(a.x_type, a.v, (batch * a.t + t) * a.v_stride + head * h, h,
            v + j * h);
  }
}

void AttendBatchRow(const AttentionArgs& a, int64_t batch,
                    const Context& context) {
  const int64_t h = a.head_dim;
  const int64_t packed = PackedHead(a);
  float* keys = static_cast<float*>(static_cast<void*>(context.scratch));
  float* values = keys + a.heads * packed;
  float* rest = values + a.heads * packed;
  constexpr int64_t kPanelsPerTask = 8;
  const int64_t panels = (a.t + kPanel - 1) / kPanel;
  const int64_t runs = (panels + kPanelsPerTask - 1) / kPanelsPerTask;
  context.pool->ParallelFor(a.heads * runs, [&](int64_t task, int) {
    const int64_t head = task / runs;
    const int64_t first = task % runs * kPanelsPerTask;
    for (int64_t p = first; p < std::min(panels, first + kPanelsPerTask); ++p)
      PackPanel(a, batch, head, p, keys + head * packed,
                values + head * packed);
  });

  const int64_t chunk = QueryChunk(a);
  const int64_t chunks = (a.t + chunk - 1) / chunk;
  context.pool->ParallelFor(a.heads * chunks, [&](int64_t task, int thread) {
    const int64_t head = task / chunks;
    const int64_t first = task % chunks * chunk;
    const int64_t rows = std::min(chunk, a.t - first);
    const AttentionRows at = AttentionRows::At(
        rest + thread * AttentionRows::Floats(chunk, h), chunk, h);
    for (int64_t i = 0; i < rows; ++i)
      LoadQuery(a.x_type, a.q,
                (batch * a.t + first + i) * a.q_stride + head * h, h, a.scale,
                at.q + i * h);
    const HeadKv<float> kv{keys + head * packed, values + head * packed, h};
    AttendChunk(kv, at, rows, [&](int64_t) { return a.t; });
    for (int64_t i = 0; i < rows; ++i)
      StoreAnswerAs(a.y_type, at, i, h, a.y,
                    (batch * a.t + first + i) * a.y_stride + head * h);
  });
}

void Attention(const AttentionArgs& a, const Context& context) {
  for (int64_t batch = 0; batch < a.batch; ++batch)
    AttendBatchRow(a, batch, context);
}

}  // namespace sotto::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include "cpu/simd/dispatch.h"

namespace sotto::cpu {

size_t SimdAttentionScratch(const AttentionArgs& args, int threads) {
  return static_cast<size_t>(
             2 * args.heads * PackedHead(args) +
             threads * AttentionRows::Floats(QueryChunk(args), args.head_dim)) *
         sizeof(float);
}

SOTTO_RESOLVE(SimdAttention, AttentionArgs, Attention)

}  // namespace sotto::cpu
#endif  // HWY_ONCE
