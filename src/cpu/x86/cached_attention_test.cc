// SPDX-License-Identifier: MIT
#include "cpu/x86/cached_attention.h"

#include <gtest/gtest.h>

#include <limits>

#include "cpu/x86/attention_tiles.h"
#include "cpu/x86/dot_pairs.h"
#include "cpu/x86/dot_tile_order.h"
#include "cpu/x86/test_problems.h"
#include "cpu/x86/x86.h"

namespace sotto::cpu::x86 {
namespace {

struct Kernel {
  const char* name;
  CachedAttentionFn run;
  CachedAttentionScratchFn scratch;
};
using Emulated = TilesOrder<EmulatedTiles>;
size_t EmulatedScratch(const CachedAttentionArgs& /*args*/, int threads) {
  return CachedScratch<Emulated>(threads);
}
const Kernel kKernels[] = {
    {"avx512_bf16", &CachedAttentionAvx512Bf16,
     &CachedAttentionAvx512Bf16Scratch},
    {"amx_bf16 emulated", &RunCached<Emulated, TileOrder>, &EmulatedScratch},
};
const Kernel kHardware = {"amx_bf16", &CachedAttentionAmxBf16,
                          &CachedAttentionAmxBf16Scratch};

// Whether a row alone goes the same way as in a group is what matters, so
// one more kernel takes every group by tiles.
const Kernel kAlwaysTiles = {"tiles for any rows",
                             &RunCached<Emulated, Emulated>, &EmulatedScratch};

constexpr int64_t kHeads = 2;
constexpr int64_t kWidth = kHeads * kHeadDim;
constexpr float kScale = 0.125f;

// States of `slots` slots; every position beyond what a test says is written
// holds `poison`.
class States {
 public:
  States(int64_t slots, int64_t positions, float poison)
      : positions_(KvPositions(positions)),
        k_(static_cast<size_t>(slots * kHeads * positions_ * kHeadDim)),
        v_(k_.size()),
        plain_k_(k_.size()),
        plain_v_(k_.size()) {
    Random random(7);
    random.Fill(plain_k_, 2);
    random.Fill(plain_v_);
    for (size_t i = 0; i < k_.size(); ++i) k_[i] = v_[i] = ToBF16(poison);
  }

  // Positions [0, length) of a slot get their values.
  void Write(int64_t slot, int64_t length) {
    for (int64_t h = 0; h < kHeads; ++h)
      for (int64_t p = 0; p < length; ++p)
        for (int64_t d = 0; d < kHeadDim; ++d) {
          const int64_t head = Head(slot, h);
          const auto from = static_cast<size_t>(head + p * kHeadDim + d);
          k_[Index(head, ir::KvKind::kKey, p, d)] = plain_k_[from];
          v_[Index(head, ir::KvKind::kValue, p, d)] = plain_v_[from];
        }
  }

  double Key(int64_t slot, int64_t h, int64_t p, int64_t d) const {
    return Plain(plain_k_, slot, h, p, d);
  }
  double Value(int64_t slot, int64_t h, int64_t p, int64_t d) const {
    return Plain(plain_v_, slot, h, p, d);
  }
  const BF16* k() const { return k_.data(); }
  const BF16* v() const { return v_.data(); }
  int64_t head_stride() const { return positions_ * kHeadDim; }

 private:
  int64_t Head(int64_t slot, int64_t h) const {
    return (slot * kHeads + h) * head_stride();
  }
  static size_t Index(int64_t head, ir::KvKind kind, int64_t p, int64_t d) {
    return static_cast<size_t>(head +
                               KvIndex(DType::kBF16, kind, kHeadDim, p, d));
  }
  double Plain(const std::vector<BF16>& plain, int64_t slot, int64_t h,
               int64_t p, int64_t d) const {
    return static_cast<double>(
        ToFloat(plain[static_cast<size_t>(Head(slot, h) + p * kHeadDim + d)]));
  }

  int64_t positions_;
  Guarded<BF16> k_, v_;
  std::vector<BF16> plain_k_, plain_v_;
};

struct Call {
  std::vector<int32_t> pos, slot;  // one for each batch row
  int64_t tokens = 1;
  int64_t extent = 448;
  bool causal = true;
  DType q_type = DType::kBF16;
  int64_t q_chunk = 0;

  int64_t rows() const { return static_cast<int64_t>(pos.size()) * tokens; }
  int64_t Length(int64_t row) const {
    if (!causal) return extent;
    return pos[static_cast<size_t>(row / tokens)] + row % tokens + 1;
  }
};

// Rows of queries are taken from one long list, from `first` on.
struct Queries {
  Guarded<float> f32{600 * kWidth};
  Guarded<BF16> bf16{600 * kWidth};
  Queries() {
    Random random(3);
    random.Fill(f32, 2);
    for (size_t i = 0; i < f32.size(); ++i) bf16[i] = ToBF16(f32[i]);
  }
};
Queries& AllQueries() {
  static Queries queries;
  return queries;
}

std::vector<float> RunCall(const Kernel& kernel, const States& states,
                           const Call& call, int64_t first = 0,
                           int threads = 2) {
  CachedAttentionArgs a;
  a.batch = static_cast<int64_t>(call.pos.size());
  a.tokens = call.tokens;
  a.heads = kHeads;
  a.head_dim = kHeadDim;
  a.q_type = call.q_type;
  a.q =
      call.q_type == DType::kBF16
          ? static_cast<const void*>(AllQueries().bf16.data() + first * kWidth)
          : AllQueries().f32.data() + first * kWidth;
  a.q_stride = kWidth;
  a.k = states.k();
  a.v = states.v();
  a.kv_type = DType::kBF16;
  a.head_stride = states.head_stride();
  a.slot_stride = kHeads * a.head_stride;
  a.pos = call.pos.data();
  a.slot = call.slot.data();
  a.extent = call.extent;
  a.causal = call.causal;
  a.q_chunk = call.q_chunk;
  a.scale = kScale;
  Guarded<float> y(static_cast<size_t>(call.rows() * kWidth));
  a.y = y.data();
  a.y_stride = kWidth;
  ThreadPool pool(threads);
  const Buffer scratch(kernel.scratch(a, threads));
  std::memset(scratch.data(), 0xff, scratch.size());  // NaN
  kernel.run(a, {.pool = &pool, .scratch = scratch.data()});
  return {y.data(), y.data() + y.size()};
}

// Worst error relative to the bound of attention_test.cc.
double WorstError(const States& states, const Call& call,
                  const std::vector<float>& y) {
  double worst = 0;
  for (int64_t row = 0; row < call.rows(); ++row)
    for (int64_t h = 0; h < kHeads; ++h) {
      const int64_t slot = call.slot[static_cast<size_t>(row / call.tokens)];
      const int64_t length = call.Length(row);
      std::vector<double> p(static_cast<size_t>(length));
      double top = -1e300, score_error = 0, sum = 0;
      for (int64_t j = 0; j < length; ++j) {
        double score = 0, size = 0;
        for (int64_t d = 0; d < kHeadDim; ++d) {
          const double q = static_cast<double>(ToFloat(
              AllQueries()
                  .bf16[static_cast<size_t>(row * kWidth + h * kHeadDim + d)]));
          score += q * states.Key(slot, h, j, d);
          size += std::abs(q * states.Key(slot, h, j, d));
        }
        p[static_cast<size_t>(j)] = score * static_cast<double>(kScale);
        top = std::max(top, p[static_cast<size_t>(j)]);
        score_error = std::max(score_error, (kHeadDim + 4) * kUnit * size *
                                                static_cast<double>(kScale));
      }
      for (double& value : p) sum += value = std::exp(value - top);
      for (int64_t d = 0; d < kHeadDim; ++d) {
        double out = 0, size = 0;
        for (int64_t j = 0; j < length; ++j) {
          const double v = states.Value(slot, h, j, d);
          out += p[static_cast<size_t>(j)] * v / sum;
          size += p[static_cast<size_t>(j)] * std::abs(v) / sum;
        }
        double apart = 0;
        for (int64_t j = 0; j < length; ++j)
          apart += p[static_cast<size_t>(j)] *
                   std::abs(states.Value(slot, h, j, d) - out) / sum;
        const double bound = (0x1p-8 + 2 * score_error + 1e-6) * apart +
                             static_cast<double>(length + 4) * kUnit * size;
        const auto got = static_cast<double>(
            y[static_cast<size_t>(row * kWidth + h * kHeadDim + d)]);
        worst = std::max(worst, std::abs(got - out) / bound);
      }
    }
  return worst;
}

TEST(CachedAttentionX86, MatchesDoubleAtEveryKindOfLength) {
  SKIP_WITHOUT_BF16();
  for (const int32_t pos : {0, 1, 15, 16, 31, 32, 127, 128, 447}) {
    States states(1, 448, std::numeric_limits<float>::quiet_NaN());
    states.Write(0, pos + 1);
    const Call call{.pos = {pos}, .slot = {0}};
    for (const Kernel& kernel : kKernels)
      EXPECT_LE(WorstError(states, call, RunCall(kernel, states, call)), 1)
          << kernel.name << " pos=" << pos;
  }
}

TEST(CachedAttentionX86, MatchesDoubleOnARaggedBatchAndOnPrompts) {
  SKIP_WITHOUT_BF16();
  States states(4, 448, 1e30f);
  for (int64_t slot = 0; slot < 4; ++slot) states.Write(slot, 260);
  const Call calls[] = {
      {.pos = {3, 200, 0, 77}, .slot = {2, 0, 3, 1}},
      {.pos = {3, 40}, .slot = {1, 0}, .tokens = 29, .q_type = DType::kF32},
      {.pos = {0}, .slot = {3}, .tokens = 228},
      {.pos = {0, 0, 0, 0, 0},
       .slot = {1, 1, 1, 0, 0},
       .extent = 250,
       .causal = false},
      {.pos = {9}, .slot = {2}, .tokens = 70, .extent = 135, .causal = false}};
  for (const Call& call : calls)
    for (const Kernel& kernel : kKernels)
      EXPECT_LE(WorstError(states, call, RunCall(kernel, states, call)), 1)
          << kernel.name << " tokens=" << call.tokens;
}

TEST(CachedAttentionX86, WhatStandsBeyondTheLengthChangesNoBit) {
  SKIP_WITHOUT_BF16();
  for (const int32_t pos : {0, 14, 15, 16, 30, 31, 32, 126, 127, 200}) {
    for (const Kernel& kernel : {kKernels[0], kKernels[1], kAlwaysTiles}) {
      const Call call{.pos = {pos}, .slot = {0}};
      std::vector<std::vector<float>> results;
      for (const float poison :
           {0.0f, 1e30f, std::numeric_limits<float>::quiet_NaN(),
            -std::numeric_limits<float>::infinity()}) {
        States states(1, 448, poison);
        states.Write(0, pos + 1);
        results.push_back(RunCall(kernel, states, call));
      }
      for (const auto& result : results)
        EXPECT_EQ(
            std::memcmp(result.data(), results[0].data(), result.size() * 4), 0)
            << kernel.name << " pos=" << pos;
    }
  }
}

// A prompt at once, or token by token, under any bucket's extent: one result.
TEST(CachedAttentionX86, NumberOfRowsAndExtentChangeNoBit) {
  SKIP_WITHOUT_BF16();
  States states(1, 448, std::numeric_limits<float>::quiet_NaN());
  states.Write(0, 150);
  for (const Kernel& kernel : {kKernels[0], kKernels[1], kAlwaysTiles}) {
    const Call all{.pos = {10}, .slot = {0}, .tokens = 140};
    const std::vector<float> whole = RunCall(kernel, states, all);
    for (int32_t row = 0; row < 140; row += row < 10 ? 1 : 13)
      for (const int64_t extent : {int64_t{160}, int64_t{448}}) {
        const Call one{.pos = {10 + row}, .slot = {0}, .extent = extent};
        const std::vector<float> alone = RunCall(kernel, states, one, row);
        EXPECT_EQ(
            std::memcmp(alone.data(), &whole[static_cast<size_t>(row * kWidth)],
                        alone.size() * 4),
            0)
            << kernel.name << " row=" << row << " extent=" << extent;
      }
  }
}

TEST(CachedAttentionX86, ChunksOfQueriesChangeNoBit) {
  SKIP_WITHOUT_BF16();
  States states(2, 448, std::numeric_limits<float>::quiet_NaN());
  states.Write(0, 190);
  states.Write(1, 190);
  for (const Kernel& kernel : {kKernels[0], kKernels[1], kAlwaysTiles}) {
    Call call{.pos = {0, 0},
              .slot = {1, 0},
              .tokens = 70,
              .extent = 190,
              .causal = false};
    const std::vector<float> whole = RunCall(kernel, states, call);
    for (const int64_t chunk : {1, 5, 24, 32, 256}) {
      call.q_chunk = chunk;
      EXPECT_EQ(RunCall(kernel, states, call), whole)
          << kernel.name << " chunk=" << chunk;
    }
  }
}

TEST(CachedAttentionX86, BatchAndThreadsChangeNoBit) {
  SKIP_WITHOUT_BF16();
  States states(3, 448, 1e30f);
  for (int64_t slot = 0; slot < 3; ++slot) states.Write(slot, 140);
  const Call call{.pos = {5, 100, 64, 65, 66, 67, 139},
                  .slot = {2, 1, 0, 0, 0, 0, 0}};
  for (const Kernel& kernel : kKernels) {
    const std::vector<float> together = RunCall(kernel, states, call, 0, 1);
    EXPECT_EQ(RunCall(kernel, states, call, 0, 3), together) << kernel.name;
    for (size_t b = 0; b < call.pos.size(); ++b) {
      const Call one{.pos = {call.pos[b]}, .slot = {call.slot[b]}};
      const auto alone = RunCall(kernel, states, one, static_cast<int64_t>(b));
      EXPECT_EQ(
          std::memcmp(alone.data(), &together[b * kWidth], alone.size() * 4), 0)
          << kernel.name << " row " << b;
    }
  }
}

TEST(CachedAttentionX86, HardwareTilesAgreeWithEmulation) {
  SKIP_WITHOUT_BF16();
  const TileTrap trap;
  States states(2, 448, std::numeric_limits<float>::quiet_NaN());
  states.Write(0, 200);
  states.Write(1, 200);
  const Call calls[] = {
      {.pos = {150}, .slot = {1}},
      {.pos = {100}, .slot = {0}, .tokens = 40},
      {.pos = {0}, .slot = {1}, .tokens = 7, .extent = 190, .causal = false}};
  for (const Call& call : calls)
    EXPECT_EQ(RunCall(kHardware, states, call),
              RunCall(kKernels[1], states, call));
}

}  // namespace
}  // namespace sotto::cpu::x86
