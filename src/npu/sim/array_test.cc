// SPDX-License-Identifier: MIT
#include "npu/sim/array.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <random>

#include "base/error.h"
#include "npu/kernels/kernel.h"
#include "npu/sim/test_arrays.h"

namespace sotto::npu {
namespace {

using namespace testing;
using ::testing::HasSubstr;
using ::testing::Not;

using Bytes = std::vector<std::byte>;

Bytes RandomBytes(size_t n, uint32_t seed) {
  std::mt19937 random(seed);
  Bytes bytes(n);
  for (std::byte& b : bytes) b = static_cast<std::byte>(random());
  return bytes;
}

SimRun RunOn(Array& array, const TxnStream& stream,
             std::initializer_list<Bytes*> buffers, int64_t limit = 0) {
  std::vector<std::span<std::byte>> spans;
  for (Bytes* b : buffers) spans.emplace_back(*b);
  return array.Run(stream, spans, limit);
}

// A kernel of the tests' own: out[i] = in[i] + 1 over words.
constexpr KernelArg kAddOneArgs[] = {{KernelArg::Kind::kIn, "i32", 64},
                                     {KernelArg::Kind::kOut, "i32", 64}};
void AddOne(const KernelCall& call) {
  for (size_t i = 0; i < 64; ++i) {
    int32_t x = 0;
    std::memcpy(&x, call.pointers[0] + 4 * i, 4);
    ++x;
    std::memcpy(call.pointers[1] + 4 * i, &x, 4);
  }
}
constexpr KernelInfo kAddOne{
    .name = "add_one", .args = kAddOneArgs, .frame_bytes = 32, .call = AddOne};
// The same with a frame that no default stack holds.
constexpr KernelInfo kGreedy{
    .name = "greedy", .args = kAddOneArgs, .frame_bytes = 929, .call = AddOne};
// Writes behind its output.
void Overrun(const KernelCall& call) {
  AddOne(call);
  call.pointers[1][300] = std::byte{1};
}
constexpr KernelInfo kOverrun{
    .name = "overrun", .args = kAddOneArgs, .call = Overrun};

const KernelInfo* FindTestKernel(std::string_view name) {
  for (const KernelInfo* k : {&kAddOne, &kGreedy, &kOverrun}) {
    if (k->name == name) return k;
  }
  return FindKernel(name);
}

SimOptions TestOptions() {
  SimOptions options;
  options.find_kernel = FindTestKernel;
  return options;
}

TEST(SimArray, AddsOneOnOneTile) {
  Array array(SingleTileArray("add_one", 256, 256), TestOptions());
  const TxnStream stream = SingleTileStream(256, 256);
  for (uint32_t call = 0; call < 4; ++call) {
    Bytes in = RandomBytes(256, call);
    Bytes out(256);
    const SimRun run = RunOn(array, stream, {&in, &out});
    ASSERT_EQ(run.state, RunState::kCompleted) << run.detail;
    for (size_t i = 0; i < 64; ++i) {
      uint32_t x = 0;
      uint32_t y = 0;
      std::memcpy(&x, in.data() + 4 * i, 4);
      std::memcpy(&y, out.data() + 4 * i, 4);
      ASSERT_EQ(y, x + 1) << "call " << call << " word " << i;
    }
    EXPECT_EQ(run.report.ddr_read_bytes, 256);
    EXPECT_EQ(run.report.ddr_write_bytes, 256);
    EXPECT_EQ(run.report.cores.at({0, 2}).calls, 1);
    EXPECT_GT(run.report.cycles, 3050);
  }
}

TEST(SimArray, StackOverflowIsAFault) {
  Array array(SingleTileArray("greedy", 256, 256), TestOptions());
  Bytes in(256);
  Bytes out(256);
  const SimRun run = RunOn(array, SingleTileStream(256, 256), {&in, &out});
  EXPECT_EQ(run.state, RunState::kError);
  EXPECT_EQ(run.detail,
            "(0,2): kernel greedy needs 1025 bytes of stack, 929 of them its "
            "frame; the stack at 0x0 has 1024");
  // And stays one until the configuration is loaded again.
  const SimRun again = RunOn(array, SingleTileStream(256, 256), {&in, &out});
  EXPECT_EQ(again.state, RunState::kError);
  EXPECT_THAT(again.detail, HasSubstr("stopped in an earlier run"));
}

}  // namespace
}  // namespace sotto::npu
