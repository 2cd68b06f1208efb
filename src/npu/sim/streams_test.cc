// SPDX-License-Identifier: MIT
// Data through mem tiles, switches and descriptors, against plain loops.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <numeric>
#include <random>

#include "base/error.h"
#include "npu/sim/routes.h"
#include "npu/sim/test_arrays.h"

namespace sotto::npu {
namespace {

using namespace testing;
using ::testing::HasSubstr;
using B = Port::Bundle;

constexpr TileId kShim{0, 0};
constexpr TileId kMem{0, 1};

// Shim to mem tile and back through one ring of two elements: `in` describes
// how an element is written, `out` how it is read.
std::shared_ptr<ArrayConfig> MemLoop(BufferDescriptor in, BufferDescriptor out,
                                     int64_t element) {
  auto config = std::make_shared<ArrayConfig>();
  config->name = "mem loop";
  config->tiles[kShim].connections = {{{B::kDma, 0}, {B::kNorth, 3}},
                                      {{B::kNorth, 2}, {B::kDma, 1}}};
  TileConfig& mem = config->tiles[kMem];
  mem.connections = {{{B::kSouth, 3}, {B::kDma, 1}},
                     {{B::kDma, 2}, {B::kSouth, 2}}};
  mem.locks = {{7, 2, "empty"}, {8, 0, "full"}};
  mem.buffers = {{"ring_0", 0x1000, element, {}},
                 {"ring_1", 0x1000 + element, element, {}}};
  for (int i = 0; i < 2; ++i) {
    // Odd channels use the upper descriptors.
    in.id = 24 + i;
    in.address = 0x1000 + i * element;
    in.acquire_lock = 7;
    in.release_lock = 8;
    in.next = 25 - i;
    out.id = i;
    out.address = 0x1000 + i * element;
    out.acquire_lock = 8;
    out.release_lock = 7;
    out.next = 1 - i;
    mem.descriptors.push_back(in);
    mem.descriptors.push_back(out);
  }
  mem.starts = {{Direction::kS2MM, 1, 24, 0}, {Direction::kMM2S, 2, 0, 0}};
  return config;
}

TxnStream ThroughStream(int64_t in_words, int64_t out_words) {
  TxnStream stream;
  AppendTask(&stream, kShim, Direction::kMM2S, 0, {.id = 4, .words = in_words},
             0, 0, false);
  AppendTask(&stream, kShim, Direction::kS2MM, 1, {.id = 5, .words = out_words},
             1, 0, true);
  AppendWait(&stream, kShim, Direction::kS2MM, 1);
  return stream;
}

TEST(Streams, FourDimensionalPermutationsOfElements) {
  std::mt19937 random(8);
  for (int round = 0; round < 40; ++round) {
    // An element is a dense box; it leaves with its dimensions permuted.
    int64_t size[4];
    int64_t stride[4];
    int64_t words = 1;
    for (int i = 0; i < 4; ++i) {
      size[i] = 1 + static_cast<int64_t>(random() % 5);
      stride[i] = words;
      words *= size[i];
    }
    int order[4] = {0, 1, 2, 3};
    std::shuffle(std::begin(order), std::end(order), random);
    BufferDescriptor out{.words = words};
    for (size_t i = 0; i < 4; ++i) {
      out.dims[i] = {size[order[i]], stride[order[i]]};
    }
    Array array(MemLoop({.words = words}, out, 4 * words), {});
    const int elements = 5;
    Words in = Random(static_cast<size_t>(words * elements), 99);
    Words got(in.size());
    const SimRun run = RunOn(
        array, ThroughStream(words * elements, words * elements), {&in, &got});
    ASSERT_EQ(run.state, RunState::kCompleted) << run.detail;
    size_t at = 0;
    for (int64_t e = 0; e < elements; ++e) {
      int64_t x[4];
      for (x[3] = 0; x[3] < size[order[3]]; ++x[3]) {
        for (x[2] = 0; x[2] < size[order[2]]; ++x[2]) {
          for (x[1] = 0; x[1] < size[order[1]]; ++x[1]) {
            for (x[0] = 0; x[0] < size[order[0]]; ++x[0]) {
              int64_t from = e * words;
              for (int i = 0; i < 4; ++i) from += x[i] * stride[order[i]];
              ASSERT_EQ(got[at++], in[static_cast<size_t>(from)]);
            }
          }
        }
      }
    }
  }
}

TEST(Streams, MemTilePadsWithZeros) {
  BufferDescriptor out{.words = 12};
  out.dims = {{{4, 1}, {3, 4}}};
  out.pad_before = {1, 2, 0};
  out.pad_after = {3, 1, 0};
  Array array(MemLoop({.words = 12}, out, 48), {});
  Words in = Random(24, 5);
  Words got(2 * 8 * 6, 77);
  const SimRun run = RunOn(array, ThroughStream(24, 96), {&in, &got});
  ASSERT_EQ(run.state, RunState::kCompleted) << run.detail;
  for (size_t e = 0; e < 2; ++e) {
    for (size_t y = 0; y < 6; ++y) {
      for (size_t x = 0; x < 8; ++x) {
        const bool inside = y >= 2 && y < 5 && x >= 1 && x < 5;
        EXPECT_EQ(got[e * 48 + y * 8 + x],
                  inside ? in[e * 12 + (y - 2) * 4 + x - 1] : 0U);
      }
    }
  }
}

TEST(Streams, ShimWalksHostMemoryAndIterates) {
  // A 2-D slice of a matrix goes in, row by row as tasks repeat.
  Array array(MemLoop({.words = 8}, {.words = 8}, 32), {});
  TxnStream stream;
  BufferDescriptor in{.id = 0, .words = 8};
  in.dims = {{{4, 1}, {2, 20}}};
  in.iteration = {3, 40};
  AppendTask(&stream, kShim, Direction::kMM2S, 0, in, 0, 12, false, 2);
  AppendTask(&stream, kShim, Direction::kS2MM, 1, {.id = 1, .words = 24}, 1, 0,
             true);
  AppendWait(&stream, kShim, Direction::kS2MM, 1);
  Words host = Random(130, 2);
  Words got(24);
  const SimRun run = RunOn(array, stream, {&host, &got});
  ASSERT_EQ(run.state, RunState::kCompleted) << run.detail;
  for (size_t i = 0; i < 24; ++i) {
    const size_t row = i / 4;
    EXPECT_EQ(got[i], host[3 + 20 * row + i % 4]);
  }
}

// One element from the host is split among four cores of the column, each adds
// its number, and the mem tile joins the parts.
CoreOp AddOp(TileId tile, int64_t at) {
  return CallOp("add_row", {BufferArg(at), ConstantArg(tile.row)});
}
constexpr KernelArg kAddRowArgs[] = {{KernelArg::Kind::kInOut, "i32", 16},
                                     {KernelArg::Kind::kInt, "i32", 0}};
void AddRow(const KernelCall& call) {
  for (size_t i = 0; i < 16; ++i) {
    int32_t x = 0;
    std::memcpy(&x, call.pointers[0] + 4 * i, 4);
    x += call.ints[0];
    std::memcpy(call.pointers[0] + 4 * i, &x, 4);
  }
}
std::vector<LoopCost> AddRowCost(std::span<const int32_t>) {
  return {{.trips = 100, .vector_ops = 1}};
}
constexpr KernelInfo kAddRow{
    .name = "add_row", .args = kAddRowArgs, .call = AddRow, .cost = AddRowCost};

SimOptions WithAddRow() {
  SimOptions options;
  options.find_kernel = [](std::string_view name) {
    return name == "add_row" ? &kAddRow : nullptr;
  };
  return options;
}

std::shared_ptr<ArrayConfig> ForkJoin(bool broadcast) {
  auto config = std::make_shared<ArrayConfig>();
  config->name = "fork and join";
  config->tiles[kShim].connections = {{{B::kDma, 0}, {B::kNorth, 0}},
                                      {{B::kNorth, 0}, {B::kDma, 0}}};
  TileConfig& mem = config->tiles[kMem];
  mem.buffers = {{"in", 0, 256, {}}, {"out", 0x8000, 256, {}}};
  mem.connections = {{{B::kSouth, 0}, {B::kDma, 0}},
                     {{B::kDma, 0}, {B::kSouth, 0}}};
  const int parts = broadcast ? 1 : 4;
  // Lock 0 empty (parts), 1 full (parts); 2 and 3 likewise for the way back.
  mem.locks = {{0, parts, ""}, {1, 0, ""}, {2, 4, ""}, {3, 0, ""}};
  const int64_t in_words = broadcast ? 16 : 64;
  mem.descriptors = {{.id = 0,
                      .words = in_words,
                      .acquire_lock = 0,
                      .acquire_value = parts,
                      .release_lock = 1,
                      .release_value = parts,
                      .next = 0},
                     {.id = 1,
                      .address = 0x8000,
                      .words = 64,
                      .acquire_lock = 3,
                      .acquire_value = 4,
                      .release_lock = 2,
                      .release_value = 4,
                      .next = 1}};
  mem.starts = {{Direction::kS2MM, 0, 0, 0}, {Direction::kMM2S, 0, 1, 0}};
  // To core i: MM2S 1 + i, switch North i; back: South/North i, S2MM 1 + i.
  for (int i = 0; i < 4; ++i) {
    const int channel = 1 + i;
    if (!broadcast || i == 0) {
      const int bd = (channel % 2) * 24 + 4 + i;
      mem.descriptors.push_back({.id = bd,
                                 .address = broadcast ? 0 : 64 * i,
                                 .words = 16,
                                 .acquire_lock = 1,
                                 .release_lock = 0,
                                 .next = bd});
      mem.starts.push_back({Direction::kMM2S, channel, bd, 0});
      mem.connections.push_back({{B::kDma, channel}, {B::kNorth, i}});
    }
    const int back = (channel % 2) * 24 + 12 + i;
    mem.descriptors.push_back({.id = back,
                               .address = 0x8000 + 64 * i,
                               .words = 16,
                               .acquire_lock = 2,
                               .release_lock = 3,
                               .next = back});
    mem.starts.push_back({Direction::kS2MM, channel, back, 0});
    mem.connections.push_back({{B::kNorth, i}, {B::kDma, channel}});
    const TileId tile{0, 2 + i};
    TileConfig& core = config->tiles[tile];
    // Streams for the cores above pass through.
    for (int j = i; j < 4; ++j) {
      if (broadcast) {
        if (j > i) continue;
        core.connections.push_back({{B::kSouth, 0}, {B::kDma, 0}});
        if (i < 3) core.connections.push_back({{B::kSouth, 0}, {B::kNorth, 0}});
      } else {
        core.connections.push_back(
            {{B::kSouth, j}, j == i ? Port{B::kDma, 0} : Port{B::kNorth, j}});
      }
    }
    for (int j = i; j < 4; ++j) {
      core.connections.push_back(
          {j == i ? Port{B::kDma, 0} : Port{B::kNorth, j}, {B::kSouth, j}});
    }
    core.buffers = {{"work", 0x400, 64, {}}};
    core.locks = {{0, 1, ""}, {1, 0, ""}, {2, 0, ""}};
    core.descriptors = {{.id = 0,
                         .address = 0x400,
                         .words = 16,
                         .acquire_lock = 0,
                         .release_lock = 1,
                         .next = 0},
                        {.id = 1,
                         .address = 0x400,
                         .words = 16,
                         .acquire_lock = 2,
                         .release_lock = 0,
                         .next = 1}};
    core.starts = {{Direction::kS2MM, 0, 0, 0}, {Direction::kMM2S, 0, 1, 0}};
    core.program = {LoopOp(), AcquireOp(tile, 1), AddOp(tile, 0x400),
                    ReleaseOp(tile, 2), EndLoopOp()};
  }
  return config;
}

TxnStream ShimStream(int64_t in_words, int64_t out_words) {
  TxnStream stream;
  AppendTask(&stream, kShim, Direction::kMM2S, 0, {.id = 0, .words = in_words},
             0, 0, false);
  AppendTask(&stream, kShim, Direction::kS2MM, 0, {.id = 1, .words = out_words},
             1, 0, true);
  AppendWait(&stream, kShim, Direction::kS2MM, 0);
  return stream;
}

TEST(Streams, MemTileForksAndJoinsAColumn) {
  Array array(ForkJoin(false), WithAddRow());
  Words in = Random(64 * 7, 1);
  Words got(in.size());
  const SimRun run = RunOn(array, ShimStream(64 * 7, 64 * 7), {&in, &got});
  ASSERT_EQ(run.state, RunState::kCompleted) << run.detail;
  for (size_t i = 0; i < in.size(); ++i) {
    EXPECT_EQ(got[i], in[i] + 2 + i % 64 / 16) << i;
  }
  EXPECT_EQ(run.report.cores.size(), 4U);
  EXPECT_EQ(run.report.Imbalance(), 0);
}

TEST(Streams, BroadcastReachesEveryCore) {
  Array array(ForkJoin(true), WithAddRow());
  Words in = Random(16 * 6, 1);
  Words got(4 * in.size());
  const SimRun run = RunOn(array, ShimStream(16 * 6, 64 * 6), {&in, &got});
  ASSERT_EQ(run.state, RunState::kCompleted) << run.detail;
  for (size_t i = 0; i < got.size(); ++i) {
    EXPECT_EQ(got[i], in[i / 64 * 16 + i % 16] + 2 + i % 64 / 16) << i;
  }
}

// R10: without double buffers the time changes, the results do not.
TEST(Streams, R10OverlapChangesTimeOnly) {
  Words in = Random(64 * 50, 1);
  Words got[2];
  int64_t cycles[2];
  for (const bool overlap : {false, true}) {
    SimOptions options = WithAddRow();
    options.overlap = overlap;
    Array array(ForkJoin(false), options);
    got[overlap].resize(in.size());
    const SimRun run =
        RunOn(array, ShimStream(64 * 50, 64 * 50), {&in, &got[overlap]});
    ASSERT_EQ(run.state, RunState::kCompleted) << run.detail;
    cycles[overlap] = run.report.cycles;
  }
  EXPECT_EQ(got[0], got[1]);
  EXPECT_GE(cycles[0], cycles[1]);
}

// Kernels on several threads: the same bytes, the same cycles.
TEST(Streams, ThreadsChangeNothing) {
  Words in = Random(64 * 200, 1);
  Words got[2];
  int64_t cycles[2];
  for (const int k : {0, 1}) {
    SimOptions options = WithAddRow();
    options.threads = k == 0 ? 1 : 3;
    Array array(ForkJoin(false), options);
    got[k].resize(in.size());
    for (int repeat = 0; repeat < 5; ++repeat) {
      const SimRun run =
          RunOn(array, ShimStream(64 * 200, 64 * 200), {&in, &got[k]});
      ASSERT_EQ(run.state, RunState::kCompleted) << run.detail;
      cycles[k] = run.report.cycles;
    }
  }
  EXPECT_EQ(got[0], got[1]);
  EXPECT_EQ(cycles[0], cycles[1]);
}

// The published rate: mem tile to core 3.99976 bytes per cycle; here a stream
// of long elements comes within 1 % of 4 bytes.
TEST(Streams, OneChannelMovesAWordACycle) {
  BufferDescriptor whole{.words = 8192};
  SimOptions options;
  options.parameters.ddr_read_gbps = 1000;
  options.parameters.ddr_write_gbps = 1000;
  options.parameters.shim_words_per_cycle = 1;
  Array array(MemLoop(whole, whole, 4 * 8192), options);
  int64_t cycles[2];
  for (const int k : {0, 1}) {
    const size_t n = k == 0 ? 8192 * 4 : 8192 * 24;
    Words in = Random(n, 1);
    Words got(n);
    const SimRun run = RunOn(
        array, ThroughStream(static_cast<int64_t>(n), static_cast<int64_t>(n)),
        {&in, &got});
    ASSERT_EQ(run.state, RunState::kCompleted) << run.detail;
    EXPECT_EQ(got, in);
    cycles[k] = run.report.cycles;
  }
  EXPECT_NEAR(static_cast<double>(cycles[1] - cycles[0]), 8192.0 * 20, 1700);
}

TEST(Streams, RoutesThatCannotBeAreRefused) {
  const auto refused = [](const ArrayConfig& config) -> std::string {
    try {
      TraceRoutes(config);
    } catch (const Error& error) {
      return error.what();
    }
    return "accepted";
  };
  ArrayConfig config;
  auto& connections = config.tiles[kMem].connections;
  connections = {{{B::kDma, 6}, {B::kNorth, 0}}};
  EXPECT_EQ(refused(config),
            "(0,1): stream switch has no input DMA 6, it has 6 of that side");
  connections = {{{B::kDma, 0}, {B::kSouth, 4}}};
  EXPECT_EQ(refused(config),
            "(0,1): stream switch has no output South 4, it has 4 of that "
            "side");
  connections = {{{B::kDma, 0}, {B::kEast, 0}}};
  EXPECT_EQ(refused(config),
            "(0,1): stream switch has no output East 0, it has 0 of that side");
  connections = {{{B::kDma, 0}, {B::kNorth, 0}},
                 {{B::kDma, 1}, {B::kNorth, 0}}};
  EXPECT_EQ(refused(config), "(0,1): output North 0 has two inputs");
  connections.clear();
  config.tiles[{0, 5}].connections = {{{B::kDma, 0}, {B::kNorth, 0}}};
  EXPECT_EQ(refused(config), "(0,5): output North 0 leaves the array");
  config.tiles.clear();
  config.tiles[{0, 2}].connections = {{{B::kDma, 0}, {B::kEast, 0}},
                                      {{B::kEast, 1}, {B::kEast, 0}}};
  EXPECT_EQ(refused(config), "(0,2): output East 0 has two inputs");
}

}  // namespace
}  // namespace sotto::npu
