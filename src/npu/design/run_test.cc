// SPDX-License-Identifier: MIT
// Planned designs run on the simulator: what comes out is what the kernels
// make of what went in, however the planner placed and routed it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "npu/design/designs.h"
#include "npu/design/planner.h"
#include "npu/sim/array.h"

namespace sotto::npu {
namespace {

using Bytes = std::vector<std::byte>;

Bytes RandomBytes(std::mt19937& rng, int64_t n) {
  Bytes bytes(static_cast<size_t>(n));
  for (std::byte& b : bytes) b = static_cast<std::byte>(rng());
  return bytes;
}

// A planned design with its host buffers, on an array of its own.
class Running {
 public:
  explicit Running(const Design& design, SimOptions options = {})
      : plan_(MakePlan(design)),
        array_(std::make_shared<const ArrayConfig>(plan_.config), options) {
    for (const int64_t bytes : plan_.config.host_buffer_bytes) {
      buffers.emplace_back(static_cast<size_t>(bytes));
    }
  }
  void Run() {
    std::vector<std::span<std::byte>> spans(buffers.begin(), buffers.end());
    last = array_.Run(plan_.stream, spans);
    EXPECT_EQ(last.state, RunState::kCompleted) << last.detail;
  }
  const Plan& plan() const { return plan_; }

  std::vector<Bytes> buffers;
  SimRun last;

 private:
  Plan plan_;
  Array array_;
};

TEST(Run, PassthroughAndAdd) {
  std::mt19937 rng(1);
  Running copy(MakeDesign("passthrough"));
  copy.buffers[0] = RandomBytes(rng, 16 * 4096);
  copy.Run();
  EXPECT_EQ(copy.buffers[1], copy.buffers[0]);

  Running add(MakeDesign("add"));
  add.buffers[0] = RandomBytes(rng, 16 * 2048);
  add.buffers[1] = RandomBytes(rng, 16 * 2048);
  add.Run();
  for (size_t i = 0; i < add.buffers[2].size(); ++i) {
    const int sum = static_cast<int8_t>(add.buffers[0][i]) +
                    static_cast<int8_t>(add.buffers[1][i]);
    ASSERT_EQ(static_cast<int8_t>(add.buffers[2][i]),
              std::clamp(sum, -128, 127));
  }
}

// The kernel itself, called on the host.
Bytes Attention(std::string_view kernel, std::span<const std::byte> qkv,
                int32_t shift) {
  Bytes in(qkv.begin(), qkv.end());
  Bytes out(4096);
  std::byte* const pointers[] = {in.data(), out.data()};
  const int32_t ints[] = {shift};
  FindKernel(kernel)->call({pointers, ints});
  return out;
}

// K6, K7: columns and heads side by side give what one after the other gives,
// four times over (the ping and the pong buffer alike).
TEST(Run, ColumnsAndHeadsEqualSingleCalls) {
  std::mt19937 rng(2);
  for (const auto& [columns, heads] :
       {std::pair(1, 1), std::pair(4, 4), std::pair(4, 8)}) {
    Running run(MakeAttention("attention_64x64_v3", columns, heads, 3));
    run.buffers[0] = RandomBytes(rng, heads * 12288);
    for (int repeat = 0; repeat < 4; ++repeat) {
      run.buffers[1].assign(run.buffers[1].size(), std::byte{0x55});
      run.Run();
      for (int h = 0; h < heads; ++h) {
        const Bytes want =
            Attention("attention_64x64_v3",
                      std::span(run.buffers[0])
                          .subspan(static_cast<size_t>(h) * 12288, 12288),
                      3);
        EXPECT_TRUE(std::equal(want.begin(), want.end(),
                               run.buffers[1].begin() + h * 4096))
            << columns << " columns, head " << h << ", run " << repeat;
      }
    }
  }
}

// R6: 24 chunks of 64 rows, the last filled up with zeros, meet themselves
// again after the detour round the core: x + x, saturated, byte by byte.
TEST(Run, R6StreamKeepsItsData) {
  std::mt19937 rng(3);
  Running run(MakeDesign("stream"));
  run.buffers[0] = RandomBytes(rng, 1536000);
  run.buffers[3].assign(run.buffers[3].size(), std::byte{0x55});
  run.Run();
  int64_t wrong = 0;
  for (size_t i = 0; i < run.buffers[0].size(); ++i) {
    const int x = static_cast<int8_t>(run.buffers[0][i]);
    if (static_cast<int8_t>(run.buffers[1][i]) !=
        std::clamp(2 * x, -128, 127)) {
      ++wrong;
    }
  }
  EXPECT_EQ(wrong, 0);
  EXPECT_THAT(run.buffers[3], testing::Each(std::byte{0}));
}

}  // namespace
}  // namespace sotto::npu
