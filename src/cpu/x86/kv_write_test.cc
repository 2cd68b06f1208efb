// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include "cpu/x86/test_problems.h"
#include "cpu/x86/x86.h"

namespace sotto::cpu::x86 {
namespace {

constexpr int64_t kHeads = 3;
constexpr int64_t kDim = kX86HeadDim;

struct Case {
  int64_t tokens;
  std::vector<int32_t> pos, slot;
  DType type = DType::kBF16;
};

// The kernel's states against KvIndex, element by element; what it must not
// touch keeps a mark.
void Check(const Case& c, ir::KvKind kind, int threads) {
  constexpr int64_t kSlots = 3, kPositions = 150;
  constexpr BF16 kMark{0x4242};
  const int64_t head_stride = KvPositions(kPositions) * kDim;
  const auto batch = static_cast<int64_t>(c.pos.size());
  Random random(5);
  Guarded<float> f32(static_cast<size_t>(batch * c.tokens * kHeads * kDim));
  Guarded<BF16> bf16(f32.size());
  random.Fill(f32);
  for (size_t i = 0; i < f32.size(); ++i) bf16[i] = ToBF16(f32[i]);
  Guarded<BF16> state(static_cast<size_t>(kSlots * kHeads * head_stride));
  std::fill_n(state.data(), state.size(), kMark);
  std::vector<BF16> want(state.data(), state.data() + state.size());

  KvWriteArgs a;
  a.batch = batch;
  a.tokens = c.tokens;
  a.heads = kHeads;
  a.head_dim = kDim;
  a.rows = {c.type == DType::kBF16 ? static_cast<const void*>(bf16.data())
                                   : f32.data(),
            c.type, kHeads * kDim};
  a.state = state.data();
  a.state_type = DType::kBF16;
  a.slot_stride = kHeads * head_stride;
  a.head_stride = head_stride;
  a.slots = kSlots;
  a.positions = kPositions;
  a.kind = kind;
  a.pos = c.pos.data();
  a.slot = c.slot.data();
  ThreadPool pool(threads);
  KvWriteBf16(a, {.pool = &pool, .scratch = nullptr});

  for (int64_t row = 0; row < batch * c.tokens; ++row) {
    const auto b = static_cast<size_t>(row / c.tokens);
    const int64_t position = c.pos[b] + row % c.tokens;
    if (c.slot[b] < 0 || c.slot[b] >= kSlots || position < 0 ||
        position >= kPositions)
      continue;
    for (int64_t i = 0; i < kHeads * kDim; ++i)
      want[static_cast<size_t>(
          (c.slot[b] * kHeads + i / kDim) * head_stride +
          KvIndex(DType::kBF16, kind, kDim, position, i % kDim))] =
          bf16[static_cast<size_t>(row * kHeads * kDim + i)];
  }
  EXPECT_TRUE(std::equal(want.begin(), want.end(), state.data()))
      << "tokens=" << c.tokens << " pos=" << c.pos[0];
}

TEST(KvWriteX86, PutsEveryValueWhereTheLayoutSays) {
  SKIP_WITHOUT_BF16();
  const Case cases[] = {
      {1, {0}, {0}},
      {1, {37}, {2}, DType::kF32},
      {1, {149, 16, 15}, {1, 0, 2}},
      {2, {15}, {1}},
      {16, {16}, {0}},
      {16, {3}, {0}, DType::kF32},
      {33, {31, 0}, {2, 1}},
      {150, {0}, {1}, DType::kF32},
      {140, {1}, {0}},
  };
  for (const Case& c : cases)
    for (const ir::KvKind kind : {ir::KvKind::kKey, ir::KvKind::kValue})
      Check(c, kind, 2);
}

TEST(KvWriteX86, DropsRowsThatHaveNoPlace) {
  SKIP_WITHOUT_BF16();
  for (const ir::KvKind kind : {ir::KvKind::kKey, ir::KvKind::kValue}) {
    Check({40, {130, -5, 3}, {0, 2, 7}}, kind, 3);
    Check({5, {400}, {0}}, kind, 1);
    Check({5, {-9}, {1}}, kind, 1);
  }
}

}  // namespace
}  // namespace sotto::cpu::x86
