// SPDX-License-Identifier: MIT
// Row 23 of the acceptance table of the cross-attention operators: whichever
// kernel writes a window's keys and values, the state holds what
// cross_attn::UpdateInPlace puts into a plain cache.
#include <gtest/gtest.h>

#include "base/thread_pool.h"
#include "cpu/ref/access.h"
#include "cpu/select.h"
#include "cpu/test_util.h"
#include "runtime/cross_attn_cache.h"

namespace sotto::cpu {
namespace {

constexpr int64_t kBatch = 2, kTokens = 75, kHeads = 3, kDim = 64;
constexpr int64_t kPositions = 80, kWidth = kHeads * kDim;
constexpr int32_t kSlots[kBatch] = {1, 0};
constexpr float kMark = 0.25f;  // what no write may touch, exact in bf16

cross_attn::View PlainView(Buffer& buffer, DType type, int64_t positions) {
  return {.data = buffer.data(),
          .dtype = static_cast<int>(type),
          .element_bytes = SizeOf(type),
          .rank = 4,
          .sizes = {kBatch, kHeads, positions, kDim},
          .strides = {kHeads * positions * kDim, positions * kDim, kDim, 1}};
}

// [slot][head][position][d], by the update that the operators mean.
Buffer Updated(Buffer& rows, DType type) {
  Buffer plain = AsType(
      std::vector<float>(kBatch * kHeads * kPositions * kDim, kMark), type);
  cross_attn::View cache = PlainView(plain, type, kPositions);
  // Rows are [B,S,H,D]; batch row b goes to slot kSlots[b].
  cross_attn::View value = PlainView(rows, type, kTokens);
  value.strides[0] = kTokens * kWidth;
  value.strides[1] = kDim;
  value.strides[2] = kWidth;
  cache.data = static_cast<std::byte*>(cache.data) +
               static_cast<size_t>(cache.strides[0]) * cache.element_bytes;
  cache.strides[0] = -cache.strides[0];
  EXPECT_EQ(cross_attn::CheckUpdate(value, cache), "");
  cross_attn::UpdateInPlace(value, cache, nullptr);
  return plain;
}

void Check(const KernelRow& row, const CpuFeatures& features, DType type,
           ir::KvKind kind) {
  Buffer rows = AsType(RandomValues(kBatch * kTokens * kWidth, 3), type);
  const Buffer want = Updated(rows, type);
  const int64_t head_stride = KvPositions(kPositions) * kDim;
  Buffer state =
      AsType(std::vector<float>(
                 static_cast<size_t>(kBatch * kHeads * head_stride), kMark),
             type);
  const int32_t pos[kBatch] = {0, 0};
  const KvWriteArgs args{.batch = kBatch,
                         .tokens = kTokens,
                         .heads = kHeads,
                         .head_dim = kDim,
                         .rows = {rows.data(), type, kWidth},
                         .state = state.data(),
                         .state_type = type,
                         .slot_stride = kHeads * head_stride,
                         .head_stride = head_stride,
                         .slots = kBatch,
                         .positions = kPositions,
                         .kind = kind,
                         .pos = pos,
                         .slot = kSlots};
  ThreadPool pool(2);
  row.Function<KvWriteArgs>(features)(args,
                                      {.pool = &pool, .scratch = nullptr});
  int64_t wrong = 0;
  for (int64_t head = 0; head < kBatch * kHeads; ++head)
    for (int64_t p = 0; p < kPositions; ++p)
      for (int64_t d = 0; d < kDim; ++d)
        wrong +=
            LoadElement(want.data(), type,
                        (head * kPositions + p) * kDim + d) !=
            LoadElement(state.data(), type,
                        head * head_stride + KvIndex(type, kind, kDim, p, d));
  EXPECT_EQ(wrong, 0) << row.name << " " << Name(type) << " on "
                      << features.ToString();
}

TEST(KvWrite, Row23EveryKernelIsTheCacheUpdate) {
  int checked = 0;
  for (const char* level : {"amx", "avx512", "avx2", "ref"}) {
    const CpuFeatures features = LimitFeatures(HostFeatures(), level);
    for (const KernelRow& row : KernelRows()) {
      if (row.op != ir::Op::kKvWrite) continue;
      for (const DType type : {DType::kF32, DType::kBF16}) {
        const KernelShape shape{
            .x = type, .w = type, .m = kBatch * kTokens, .head_dim = kDim};
        if (!WhyNot(row, shape, features, true).empty()) continue;
        Check(row, features, type, ir::KvKind::kKey);
        Check(row, features, type, ir::KvKind::kValue);
        ++checked;
      }
    }
  }
  EXPECT_GE(checked, 8);  // the reference in both types on each level
}

}  // namespace
}  // namespace sotto::cpu
