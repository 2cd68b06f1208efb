// SPDX-License-Identifier: MIT
#include "npu/design/planner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/error.h"
#include "base/test_folder.h"
#include "hub/digest.h"
#include "npu/design/router.h"
#include "npu/design/single.h"

namespace sotto::npu {
namespace {

constexpr KernelArg kAttentionArgs[] = {
    {KernelArg::Kind::kIn, "i8", 12288},
    {KernelArg::Kind::kOut, "i8", 4096},
    {KernelArg::Kind::kInt, "i32"},
};
constexpr KernelArg kCopyArgs[] = {
    {KernelArg::Kind::kIn, "i8", 64},
    {KernelArg::Kind::kOut, "i8", 64},
};
const KernelInfo* TestKernel(std::string_view name) {
  static const KernelInfo kTable[] = {
      {.name = "attention",
       .args = kAttentionArgs,
       .frame_bytes = 4416,
       .code_bytes = 4096},
      {.name = "copy", .args = kCopyArgs, .frame_bytes = 64, .code_bytes = 256},
      {.name = "big",
       .args = kCopyArgs,
       .frame_bytes = 64,
       .code_bytes = 17000},
  };
  for (const KernelInfo& kernel : kTable) {
    if (kernel.name == name) return &kernel;
  }
  return nullptr;
}

Design Attention(bool compat) {
  return MakeSingleTile("attention",
                        {.kernel = "attention",
                         .in_bytes = {12288},
                         .out_bytes = 4096,
                         .constants = {4}},
                        compat);
}

const PlacedBuffer& BufferNamed(const TileConfig& tile, std::string_view name) {
  for (const PlacedBuffer& buffer : tile.buffers) {
    if (buffer.name == name) return buffer;
  }
  throw std::out_of_range(std::string(name));
}

// R5: the map that the published design's lowering has. N12: 16 KB of buffers.
TEST(Planner, R5N12SingleTileAttentionHasThePublishedMap) {
  const Plan plan = MakePlan(Attention(true), TestKernel);
  EXPECT_THAT(plan.config.host_buffer_bytes, testing::ElementsAre(12288, 4096));
  const TileConfig& core = plan.config.tiles.at({0, 2});
  EXPECT_EQ(core.stack_address, 0);
  EXPECT_EQ(core.stack_bytes, 0x400);
  EXPECT_EQ(BufferNamed(core, "in.0").address, 0x400);
  EXPECT_EQ(BufferNamed(core, "in.1").address, 0x3400);
  EXPECT_EQ(BufferNamed(core, "out.0").address, 0x6400);
  EXPECT_EQ(BufferNamed(core, "out.1").address, 0x7400);
  ASSERT_EQ(core.locks.size(), 4u);
  EXPECT_EQ(core.locks[0].value, 2);
  EXPECT_EQ(core.locks[1].value, 0);
  EXPECT_EQ(core.locks[2].value, 2);
  EXPECT_EQ(core.locks[3].value, 0);
  ASSERT_EQ(core.descriptors.size(), 4u);
  const int next[] = {1, 0, 3, 2};
  const int64_t address[] = {0x400, 0x3400, 0x6400, 0x7400};
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(core.descriptors[i].id, static_cast<int>(i));
    EXPECT_EQ(core.descriptors[i].next, next[i]);
    EXPECT_EQ(core.descriptors[i].address, address[i]);
    EXPECT_EQ(core.descriptors[i].words, i < 2 ? 0xC00 : 0x400);
  }
  ASSERT_EQ(core.starts.size(), 2u);
  EXPECT_EQ(core.starts[0].first_bd, 0);
  EXPECT_EQ(core.starts[1].first_bd, 2);
}

// The ping and the pong element take turns: two calls in an endless loop.
TEST(Planner, LoopsAreUnrolledByTheDepth) {
  const Plan plan = MakePlan(Attention(true), TestKernel);
  const auto& program = plan.config.tiles.at({0, 2}).program;
  EXPECT_EQ(program.front().kind, CoreOp::Kind::kLoop);
  EXPECT_EQ(program.front().value, CoreOp::kForever);
  std::vector<std::pair<int64_t, int64_t>> calls;
  for (const CoreOp& op : program) {
    if (op.kind != CoreOp::Kind::kCall) continue;
    calls.emplace_back(op.args[0].value, op.args[1].value);
    EXPECT_EQ(op.args[2].value, 4);
  }
  EXPECT_THAT(calls, testing::ElementsAre(std::pair(0x70400, 0x76400),
                                          std::pair(0x73400, 0x77400)));
}

std::string Sha256(const std::vector<uint32_t>& words) {
  const TestFolder folder;
  const auto path = folder / "planned.bin";
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(words.data()),
             static_cast<std::streamsize>(4 * words.size()));
  return DigestOfFile(path, Digest::Kind::kSha256).hex;
}

// R1, N12: 300 bytes with the published hashes, out of the planner.
TEST(Planner, R1N12StreamsOfSingleTilesHaveThePublishedHashes) {
  const auto stream = [](int64_t in, int64_t out) {
    const Design d = MakeSingleTile(
        "single", {.kernel = "copy", .in_bytes = {in}, .out_bytes = out});
    return Encode(MakePlan(d, TestKernel).stream);
  };
  EXPECT_EQ(stream(800, 80).size() * 4, 300u);
  EXPECT_EQ(Sha256(stream(800, 80)),
            "5ffe91a930c7660586724f170d4f368b833704636776eded1ea58fa8dd3d35dd");
  EXPECT_EQ(Sha256(stream(1024, 1024)),
            "32eaf54e292bf1ef8738ce51de5abfe19a61b65592e906186e071ea8b6d12635");
  EXPECT_EQ(Sha256(stream(12288, 4096)),
            "d2a0dfe6fc3a289e830dfb896ad1fb8e763909dbc92662313cb0651c03582b38");
}

// What runs over the stack leaves the tile's memory.
TEST(Planner, R7R11StackStandsAtTheEndAndIsLargeEnough) {
  const Plan plan = MakePlan(Attention(false), TestKernel);
  const TileConfig& core = plan.config.tiles.at({0, 2});
  EXPECT_EQ(core.stack_address + core.stack_bytes, 64 * 1024);
  EXPECT_GE(core.stack_bytes, 4416 + 96);
  for (const PlacedBuffer& b : core.buffers) {
    EXPECT_LE(b.address + b.bytes, core.stack_address) << b.name;
  }
  EXPECT_NE(BufferNamed(core, "in.0").address / 0x4000,
            BufferNamed(core, "in.1").address / 0x4000);
  EXPECT_THAT(MemoryMap(plan), testing::HasSubstr("stack"));
  for (const char* bank : {"bank  0", "bank  1", "bank  3"})
    EXPECT_THAT(MemoryMap(plan), testing::HasSubstr(bank));
}

}  // namespace
}  // namespace sotto::npu
