// SPDX-License-Identifier: MIT
#include "npu/design/gemm.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <random>

#include "base/error.h"
#include "npu/design/planner.h"
#include "npu/sim/array.h"

namespace sotto::npu {
namespace {

using Bytes = std::vector<std::byte>;

float FromBf16(const std::byte* p) {
  uint16_t bits = 0;
  std::memcpy(&bits, p, 2);
  return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
}

struct Case {
  GemmShape shape;
  Bytes a, w;
  std::vector<float> multipliers, biases;
  std::vector<double> want;
};

Case MakeCase(const GemmShape& s, unsigned seed) {
  std::mt19937 rng(seed);
  std::normal_distribution<float> normal;
  Case c{.shape = s};
  const auto item = [&](double* value, Bytes* out) {
    if (s.int8) {
      const auto x = static_cast<int8_t>(static_cast<int>(rng() % 255) - 127);
      *value = x;
      out->push_back(static_cast<std::byte>(x));
      return;
    }
    const uint32_t bits = std::bit_cast<uint32_t>(normal(rng)) & 0xFFFF0000U;
    *value = std::bit_cast<float>(bits);
    out->push_back(static_cast<std::byte>(bits >> 16 & 0xFF));
    out->push_back(static_cast<std::byte>(bits >> 24));
  };
  std::vector<double> a(static_cast<size_t>(s.m_all * s.k_all));
  std::vector<double> w(static_cast<size_t>(s.k_all * s.n_all));
  for (double& x : a) item(&x, &c.a);
  for (double& x : w) item(&x, &c.w);
  for (int64_t n = 0; n < s.n_all; ++n) {
    if (s.int8) {
      c.multipliers.push_back(std::exp2(-14.0F) * (1 + std::fabs(normal(rng))));
    }
    c.biases.push_back(normal(rng));
  }
  for (int64_t m = 0; m < s.m_all; ++m) {
    for (int64_t n = 0; n < s.n_all; ++n) {
      double sum = 0;
      for (int64_t k = 0; k < s.k_all; ++k) {
        sum += a[static_cast<size_t>(m * s.k_all + k)] *
               w[static_cast<size_t>(k * s.n_all + n)];
      }
      if (s.int8) sum *= c.multipliers[static_cast<size_t>(n)];
      sum += c.biases[static_cast<size_t>(n)];
      if (s.gelu) sum *= 0.5 * std::erfc(-sum / std::sqrt(2.0));
      c.want.push_back(sum);
    }
  }
  return c;
}

// Against doubles: bf16 keeps 8 bits, so 2^-8 of the value and of the sum's
// terms (bf16 products are exact, their f32 sums lose 2^-24 each). int8's GELU
// keeps 15 bits of what the sums could be, and rounds three times.
void Check(const Case& c) {
  const GemmShape& s = c.shape;
  const Plan plan = MakePlan(MakeGemm("gemm", s));
  Array array(std::make_shared<const ArrayConfig>(plan.config), {});
  std::vector<Bytes> buffers{
      PackActivations(c.a, s.m_all, s.k_all, s.item_bytes()),
      PackWeights(c.w, c.multipliers, c.biases, s),
      Bytes(static_cast<size_t>(plan.config.host_buffer_bytes[2]))};
  std::vector<std::span<std::byte>> spans(buffers.begin(), buffers.end());
  for (int repeat = 0; repeat < 2; ++repeat) {
    std::fill(buffers[2].begin(), buffers[2].end(), std::byte{0x7F});
    const SimRun run = array.Run(plan.stream, spans);
    ASSERT_EQ(run.state, RunState::kCompleted) << run.detail;
    const Bytes out = UnpackActivations(buffers[2], s.m_all, s.n_all, 2);
    const double scale = s.int8 ? 1 : std::sqrt(static_cast<double>(s.k_all));
    for (size_t i = 0; i < c.want.size(); ++i) {
      double steps = 0;
      if (s.int8 && s.gelu)
        steps = *std::max_element(c.multipliers.begin(), c.multipliers.end()) *
                0x1p14 * static_cast<double>(s.k_all) * 3 * 0x1p-15;
      ASSERT_NEAR(FromBf16(out.data() + 2 * i), c.want[i],
                  std::fabs(c.want[i]) / 256 + scale * 1e-3 + steps)
          << "row " << i / static_cast<size_t>(s.n_all) << ", column "
          << i % static_cast<size_t>(s.n_all) << ", run " << repeat;
    }
  }
}

TEST(Gemm, L3Int8EqualsDoubles) {
  Check(MakeCase({.m_all = 256, .k_all = 192, .n_all = 256}, 1));
  Check(MakeCase({.m_all = 512, .k_all = 64, .n_all = 512, .gelu = true}, 2));
}

TEST(Gemm, L3Bf16EqualsDoubles) {
  Check(MakeCase(
      {.m_all = 256, .k_all = 96, .n_all = 512, .int8 = false, .k = 32}, 3));
}

// Other tiles, more m-blocks than a task queue holds.
TEST(Gemm, SmallTilesAndManyBlocks) {
  Check(MakeCase(
      {.m_all = 32 * 7, .k_all = 32, .n_all = 128, .m = 8, .k = 16, .n = 32},
      4));
}

TEST(Gemm, UsesAllCoresAndThreeBuffers) {
  const Plan plan = MakePlan(MakeGemm("gemm", {}));
  int cores = 0;
  for (const auto& [tile, config] : plan.config.tiles) {
    if (!config.program.empty()) ++cores;
  }
  EXPECT_EQ(cores, 16);
  EXPECT_EQ(plan.config.host_buffer_bytes.size(), 3u);
  EXPECT_THAT(UsageReport(plan), testing::HasSubstr("cores 16/16"));
}

TEST(Gemm, WrongShapesAreRefused) {
  try {
    MakeGemm("gemm", {.m_all = 100});
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("want multiples of 256x64"));
  }
}

TEST(Gemm, ActivationsThereAndBack) {
  std::mt19937 rng(5);
  Bytes bytes(24 * 40 * 2);
  for (std::byte& b : bytes) b = static_cast<std::byte>(rng());
  EXPECT_EQ(UnpackActivations(PackActivations(bytes, 24, 40, 2), 24, 40, 2),
            bytes);
}

}  // namespace
}  // namespace sotto::npu
