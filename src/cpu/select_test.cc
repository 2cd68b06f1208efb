// SPDX-License-Identifier: MIT
#include "cpu/select.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <set>

#include "base/file.h"

namespace sotto::cpu {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr CpuFeatures kAvx2{.avx2 = true};
constexpr CpuFeatures kAvx512{.avx2 = true, .avx512 = true};
constexpr CpuFeatures kZen5{
    .avx2 = true, .avx512 = true, .avx512_bf16 = true, .avx512_vnni = true};
constexpr CpuFeatures kSapphireRapids{.avx2 = true,
                                      .avx512 = true,
                                      .avx512_bf16 = true,
                                      .avx512_vnni = true,
                                      .amx_bf16 = true,
                                      .amx_int8 = true};
constexpr CpuFeatures kArm{.neon = true};
constexpr CpuFeatures kMachines[] = {kAvx2, kAvx512, kZen5, kSapphireRapids,
                                     kArm};

// Ops that take time and so must not fall back to the reference anywhere.
constexpr ir::Op kOps[] = {
    ir::Op::kLinear,    ir::Op::kAttention, ir::Op::kCachedAttention,
    ir::Op::kLayerNorm, ir::Op::kGelu,      ir::Op::kAdd,
    ir::Op::kCast,      ir::Op::kTranspose, ir::Op::kEmbed,
    ir::Op::kKvWrite,   ir::Op::kSelectRows};

KernelShape ShapeOf(ir::Op op, DType type, int64_t m) {
  KernelShape shape{
      .x = type, .y = type, .m = m, .n = 512, .k = 512, .head_dim = 64};
  if (op == ir::Op::kLinear || op == ir::Op::kCachedAttention ||
      op == ir::Op::kKvWrite || op == ir::Op::kEmbed)
    shape.w = type;
  return shape;
}

TEST(Select, FindsAFastKernelForEveryOpOnEveryMachine) {
  for (const CpuFeatures& machine : kMachines)
    for (const ir::Op op : kOps)
      for (const DType type : {DType::kF32, DType::kBF16})
        for (const int64_t m : {1, 4, 16, 1500}) {
#if !defined(__x86_64__)
          if (!machine.neon) continue;  // x86 rows are not in this build
#endif
          std::string why;
          EXPECT_NE(Select(op, ShapeOf(op, type, m), machine, false, &why),
                    nullptr)
              << machine.ToString() << " op " << static_cast<int>(op) << " "
              << Name(type) << ": " << why;
        }
}

// Decoding alone, prompts and batches must round alike: whatever m selects on
// a machine, the order of its sums is one.
TEST(Select, TakesOneSummationOrderPerTypeAndMachine) {
  constexpr DType kAll[] = {DType::kF32, DType::kF16, DType::kBF16};
  for (const CpuFeatures& machine : kMachines)
    for (const ir::Op op : {ir::Op::kLinear, ir::Op::kCachedAttention})
      for (const DType x : kAll)
        for (const DType w : kAll) {
          std::map<Order, std::string_view> orders;
          for (int64_t m = 1; m <= 64; ++m) {
            const KernelRow* row = Select(
                op,
                {.x = x, .w = w, .m = m, .n = 512, .k = 512, .head_dim = 64},
                machine, false);
            if (row != nullptr) orders.emplace(row->order, row->name);
          }
          EXPECT_LE(orders.size(), 1u)
              << machine.ToString() << " " << Name(x) << "," << Name(w) << ": "
              << orders.begin()->second << " and " << orders.rbegin()->second;
        }
}

TEST(Select, UsesTheReferenceOnlyWhereItMay) {
  const KernelShape shape{.m = 1};
  std::string why;
  EXPECT_EQ(Select(ir::Op::kLinear, shape, {}, false, &why), nullptr);
  EXPECT_THAT(why, HasSubstr("ref is off in this profile"));
  const KernelRow* row = Select(ir::Op::kLinear, shape, {}, true, &why);
  ASSERT_NE(row, nullptr);
  EXPECT_EQ(row->name, "ref");
}

TEST(Select, SaysWhyEachRowRefused) {
  std::string why;
  const KernelRow* row = Select(ir::Op::kLinear, {.m = 5}, kAvx2, false, &why);
  ASSERT_NE(row, nullptr);
  EXPECT_EQ(row->name, "simd_tile");
  EXPECT_THAT(why, HasSubstr("simd_row needs m <= 4"));
  EXPECT_EQ(Select(ir::Op::kAttention, {.head_dim = 60}, kAvx2, false, &why),
            nullptr);
  EXPECT_THAT(why, HasSubstr("simd needs head_dim divisible by 16"));
  EXPECT_EQ(Select(ir::Op::kLinear, {.x = DType::kF16}, kAvx2, false, &why),
            nullptr);
  EXPECT_THAT(why, HasSubstr("simd_row needs f32|bf16 x, not f16"));
}

TEST(Select, NeverTakesAKernelTheMachineLacks) {
  for (const CpuFeatures& machine : kMachines)
    for (const KernelRow& row : KernelRows())
      if (!Has(machine, row.needs)) {
        EXPECT_NE(WhyNot(row, {.head_dim = 64}, machine, true), "") << row.name;
      }
}

TEST(KernelRows, NamesAreUniqueWithinAnOp) {
  std::set<std::pair<ir::Op, std::string_view>> names;
  for (const KernelRow& row : KernelRows())
    EXPECT_TRUE(names.emplace(row.op, row.name).second) << row.name;
}

TEST(KernelRows, GiveEveryOpAMeaning) {
  std::set<ir::Op> meant;
  for (const KernelRow& row : KernelRows())
    if (row.is_reference()) meant.insert(row.op);
  // Slice and Reshape are views: they compute nothing.
  EXPECT_EQ(static_cast<int>(meant.size()), ir::kOpCount - 2);
}

#if defined(__x86_64__)  // elsewhere the table lacks rows
TEST(KernelRows, AreListedInTheDocumentation) {
  const std::string page =
      ReadFile(std::filesystem::path(SOTTO_SOURCE_DIR) / "docs/kernels.md");
  EXPECT_THAT(page, HasSubstr(KernelTable()))
      << "docs/kernels.md is stale; put this table into it";
}
#endif

TEST(CpuFeatures, LevelsForceLess) {
  EXPECT_EQ(LimitFeatures(kSapphireRapids, "amx"), kSapphireRapids);
  EXPECT_EQ(LimitFeatures(kSapphireRapids, "avx512"), kZen5);
  EXPECT_EQ(LimitFeatures(kSapphireRapids, "avx2"), kAvx2);
  EXPECT_EQ(LimitFeatures(kSapphireRapids, "ref"), CpuFeatures{});
  try {
    LimitFeatures(kAvx2, "sse");
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), StartsWith("SOTTO_CPU is 'sse'"));
  }
}

}  // namespace
}  // namespace sotto::cpu
