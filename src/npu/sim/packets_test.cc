// SPDX-License-Identifier: MIT
// Mem tiles that reach their neighbours, and packet-switched streams, against
// what AMD's manuals say, worked out by hand.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <numeric>

#include "base/error.h"
#include "npu/sim/routes.h"
#include "npu/sim/test_arrays.h"

namespace sotto::npu {
namespace {

using namespace testing;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using B = Port::Bundle;

constexpr TileId kShim{0, 0};
constexpr TileId kMem{0, 1};

std::vector<uint8_t> Bytes(const Words& words) {
  std::vector<uint8_t> bytes(4 * words.size());
  std::memcpy(bytes.data(), words.data(), bytes.size());
  return bytes;
}

// Takes `words` from the array into host buffer 0.
TxnStream Collect(int64_t words) {
  TxnStream stream;
  AppendTask(&stream, kShim, Direction::kS2MM, 0, {.id = 0, .words = words}, 0,
             0, true);
  AppendWait(&stream, kShim, Direction::kS2MM, 0);
  return stream;
}

std::string LoadError(const std::shared_ptr<ArrayConfig>& config) {
  try {
    Array array(config, {});
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

// The host's words go down one column into the memory of the column beside it,
// whose own channel sends them back: `side` 1 goes from column 0 to 1, -1 the
// other way. Four elements through a ring of two, locks where the memory is.
std::shared_ptr<ArrayConfig> Beside(int side, int channel = 0) {
  auto config = std::make_shared<ArrayConfig>();
  config->name = "beside";
  const int from = side > 0 ? 0 : 1;
  const int to = from + side;
  config->tiles[{from, 0}].connections = {{{B::kDma, 0}, {B::kNorth, 0}}};
  config->tiles[{to, 0}].connections = {{{B::kNorth, 1}, {B::kDma, 1}}};
  TileConfig& writer = config->tiles[{from, 1}];
  writer.connections = {{{B::kSouth, 0}, {B::kDma, channel}}};
  TileConfig& owner = config->tiles[{to, 1}];
  owner.connections = {{{B::kDma, 2}, {B::kSouth, 1}}};
  owner.locks = {{5, 2, "empty"}, {6, 0, "full"}};
  owner.buffers = {{"ring_0", 0x2000, 64, {}}, {"ring_1", 0x2040, 64, {}}};
  for (int i = 0; i < 2; ++i) {
    writer.descriptors.push_back({.id = i,
                                  .address = 0x2000 + 64 * i,
                                  .words = 16,
                                  .acquire_lock = 5,
                                  .release_lock = 6,
                                  .next = 1 - i,
                                  .memory_side = side,
                                  .acquire_side = side,
                                  .release_side = side});
    owner.descriptors.push_back({.id = 2 + i,
                                 .address = 0x2000 + 64 * i,
                                 .words = 16,
                                 .acquire_lock = 6,
                                 .release_lock = 5,
                                 .next = 3 - i});
  }
  writer.starts = {{Direction::kS2MM, channel, 0, 0}};
  owner.starts = {{Direction::kMM2S, 2, 2, 0}};
  return config;
}

TxnStream ThroughBeside(int side) {
  const int from = side > 0 ? 0 : 1;
  const TileId in{from, 0}, out{from + side, 0};
  TxnStream stream;
  AppendTask(&stream, in, Direction::kMM2S, 0, {.id = 0, .words = 64}, 0, 0,
             false);
  AppendTask(&stream, out, Direction::kS2MM, 1, {.id = 1, .words = 64}, 1, 0,
             true);
  AppendWait(&stream, out, Direction::kS2MM, 1);
  return stream;
}

TEST(MemTiles, WriteIntoTheirNeighbours) {
  for (const int side : {1, -1}) {
    Array array(Beside(side), {});
    Words in = Random(64, 3), got(64);
    const SimRun run = RunOn(array, ThroughBeside(side), {&in, &got});
    ASSERT_EQ(run.state, RunState::kCompleted) << run.detail;
    EXPECT_EQ(got, in);
    // The last two elements are still where they were put.
    const TileId owner{side > 0 ? 1 : 0, 1};
    EXPECT_EQ(std::memcmp(array.Memory(owner).data() + 0x2000, &in[32], 128),
              0);
    // The writer holds the next element already.
    EXPECT_EQ(array.LockValue(owner, 5), 1);
    EXPECT_EQ(array.LockValue(owner, 6), 0);
  }
}

TEST(MemTiles, ReachOnlyNeighboursThatAreThere) {
  auto config = Beside(1);
  for (BufferDescriptor& bd : config->tiles[kMem].descriptors) {
    bd.memory_side = bd.acquire_side = bd.release_side = -1;
  }
  EXPECT_EQ(LoadError(config),
            "(0,1): descriptor 0 reaches (-1,1), which is not in the array");
  // Channels 4 and 5 see their own tile only (AM020).
  EXPECT_THAT(LoadError(Beside(1, 4)),
              HasSubstr("(0,1) S2MM 4: descriptor 0 reaches a neighbour, "
                        "which channels 0 to 3 can"));
}

TEST(MemTiles, DeadlocksNameTheNeighboursLock) {
  auto config = Beside(1);
  config->tiles[{1, 1}].locks = {{5, 0, "empty"}, {6, 0, "full"}};
  Array array(config, {});
  Words in(64), got(64);
  const SimRun run = RunOn(array, ThroughBeside(1), {&in, &got});
  EXPECT_EQ(run.state, RunState::kTimeout);
  EXPECT_THAT(run.detail, HasSubstr("(0,1) S2MM 0 descriptor 0 waits for lock "
                                    "5 >= 1, it is 0"));
}

// Cores (0,3) and (0,2) send `packets` packets of four words each to the host
// through one output of (0,2): IDs 9 and 4.
std::shared_ptr<ArrayConfig> Merge(int packets, bool drop_header) {
  auto config = std::make_shared<ArrayConfig>();
  config->name = "merge";
  config->tiles[kShim].connections = {{{B::kNorth, 0}, {B::kDma, 0}}};
  config->tiles[kMem].connections = {{{B::kNorth, 0}, {B::kSouth, 0}}};
  TileConfig& low = config->tiles[{0, 2}];
  TileConfig& high = config->tiles[{0, 3}];
  high.connections = {{{B::kDma, 0}, {B::kSouth, 2}}};
  low.packet_slots = {{.in = {B::kNorth, 2}, .id = 9, .arbiter = 1, .msel = 2},
                      {.in = {B::kDma, 0}, .id = 4, .arbiter = 1, .msel = 2}};
  low.packet_outputs = {{.out = {B::kSouth, 0},
                         .arbiter = 1,
                         .msels = 1 << 2,
                         .drop_header = drop_header}};
  for (const int row : {2, 3}) {
    TileConfig& tile = config->tiles[{0, row}];
    Words words(static_cast<size_t>(4 * packets));
    std::iota(words.begin(), words.end(), static_cast<uint32_t>(100 * row));
    tile.buffers = {{"out", 0x400, 16 * packets, Bytes(words)}};
    BufferDescriptor bd{.id = 0, .address = 0x400, .words = 4};
    if (packets > 1) bd.iteration = {packets, 4};
    bd.packet = row == 3 ? 9 : 4;
    bd.packet_type = row;
    tile.descriptors = {bd};
    tile.starts = {{Direction::kMM2S, 0, 0, packets - 1}};
  }
  return config;
}

// By hand: (0,2) is one switch nearer, so its packet comes first; then the
// other, which waited; then they take turns.
TEST(Packets, TakeTurnsAndKeepTogether) {
  Array array(Merge(2, false), {});
  Words got(20);
  const SimRun run = RunOn(array, Collect(20), {&got});
  ASSERT_EQ(run.state, RunState::kCompleted) << run.detail;
  const uint32_t near = PacketHeader({0, 2}, 4, 2);
  const uint32_t far = PacketHeader({0, 3}, 9, 3);
  EXPECT_THAT(
      got, ElementsAre(near, 200, 201, 202, 203, far, 300, 301, 302, 303, near,
                       204, 205, 206, 207, far, 304, 305, 306, 307));
}

TEST(Packets, AnOutputMayDropTheHeader) {
  Array array(Merge(2, true), {});
  Words got(16);
  const SimRun run = RunOn(array, Collect(16), {&got});
  ASSERT_EQ(run.state, RunState::kCompleted) << run.detail;
  EXPECT_THAT(got, ElementsAre(200, 201, 202, 203, 300, 301, 302, 303, 204, 205,
                               206, 207, 304, 305, 306, 307));
}

// A packet holds what it goes through: no word of another comes between, even
// where the receiver takes it piece by piece.
TEST(Packets, AreNotCutByTheReceiversDescriptors) {
  Array array(Merge(3, false), {});
  TxnStream stream;
  for (int i = 0; i < 10; ++i) {
    AppendTask(&stream, kShim, Direction::kS2MM, 0, {.id = i, .words = 3}, 0,
               static_cast<uint32_t>(12 * i), i == 9);
  }
  AppendWait(&stream, kShim, Direction::kS2MM, 0);
  Words got(30);
  const SimRun run = RunOn(array, stream, {&got});
  ASSERT_EQ(run.state, RunState::kCompleted) << run.detail;
  for (size_t at = 0; at < 30; at += 5) {
    const bool near = got[at] == PacketHeader({0, 2}, 4, 2);
    ASSERT_TRUE(near || got[at] == PacketHeader({0, 3}, 9, 3)) << at;
    for (size_t i = 1; i < 4; ++i) {
      EXPECT_EQ(got[at + 1 + i], got[at + 1] + i);
    }
    EXPECT_EQ(got[at + 1] / 100, near ? 2U : 3U);
  }
}

// The mem tile sends packets of four IDs on one stream; the cores' switches
// pick theirs: (0,2) ID 6 by its own slot, (0,3) 4 and 5 by a mask, both 7.
std::shared_ptr<ArrayConfig> Split(std::vector<int> packets) {
  auto config = std::make_shared<ArrayConfig>();
  config->name = "split";
  TileConfig& mem = config->tiles[kMem];
  mem.connections = {{{B::kDma, 0}, {B::kNorth, 1}}};
  const auto n = static_cast<int>(packets.size());
  Words words(static_cast<size_t>(2 * n));
  std::iota(words.begin(), words.end(), 1U);
  mem.buffers = {{"out", 0, 8 * n, Bytes(words)}};
  for (int i = 0; i < n; ++i) {
    mem.descriptors.push_back({.id = i,
                               .address = 8 * i,
                               .words = 2,
                               .next = i + 1 < n ? i + 1 : -1,
                               .packet = packets[static_cast<size_t>(i)]});
  }
  mem.starts = {{Direction::kMM2S, 0, 0, 0}};
  TileConfig& low = config->tiles[{0, 2}];
  low.packet_slots = {{.in = {B::kSouth, 1}, .id = 6, .msel = 0},
                      {.in = {B::kSouth, 1}, .id = 7, .msel = 1},
                      {.in = {B::kSouth, 1}, .id = 4, .mask = 30, .msel = 2}};
  low.packet_outputs = {
      {.out = {B::kDma, 1}, .msels = 1 | 2, .drop_header = true},
      {.out = {B::kNorth, 5}, .msels = 2 | 4}};
  config->tiles[{0, 3}].connections = {{{B::kSouth, 5}, {B::kDma, 0}}};
  for (const int row : {2, 3}) {
    TileConfig& tile = config->tiles[{0, row}];
    tile.buffers = {{"in", 0x400, 64, std::vector<uint8_t>(64)}};
    tile.descriptors = {{.id = 0, .address = 0x400, .words = 16}};
    tile.starts = {{Direction::kS2MM, row == 2 ? 1 : 0, 0, 0}};
  }
  return config;
}

Words Received(Array& array, int row) {
  Words words(16);
  std::memcpy(words.data(), array.Memory({0, row}).data() + 0x400, 64);
  while (!words.empty() && words.back() == 0) words.pop_back();
  return words;
}

// Waits for nothing, so the streams run dry before it is done.
SimRun Settle(Array& array) { return RunOn(array, {}, {}); }

TEST(Packets, GoWhereTheirSlotsSay) {
  Array array(Split({6, 4, 5, 7, 6}), {});
  ASSERT_EQ(Settle(array).state, RunState::kCompleted);
  const auto header = [](int id) { return PacketHeader({0, 1}, id, 0); };
  EXPECT_THAT(Received(array, 2), ElementsAre(1, 2, 7, 8, 9, 10));
  EXPECT_THAT(Received(array, 3),
              ElementsAre(header(4), 3, 4, header(5), 5, 6, header(7), 7, 8));
}

TEST(Packets, RoutesByHand) {
  const auto routes = TraceRoutes(*Split({6}));
  ASSERT_EQ(routes.size(), 4u);  // 4, 5, 6 and 7; nothing without a header
  for (const Route& route : routes) {
    SCOPED_TRACE(route.packet);
    EXPECT_EQ(route.ends.size(), route.packet == 7 ? 2u : 1u);
    EXPECT_EQ(route.ends[0].drops_header, route.packet >= 6);
    EXPECT_EQ(route.ends[0].hops, route.packet >= 6 ? 2 : 3);
  }
}

TEST(Packets, LostOnesAreFaults) {
  EXPECT_THAT(LoadError(Split({3})),
              HasSubstr("(0,1) MM2S 0: descriptor 0: no slot takes packet 3"));
  EXPECT_THAT(LoadError(Split({-1})),
              HasSubstr("sends no header, its stream is packet switched"));
  auto receiver = Split({6});
  receiver->tiles[{0, 2}].descriptors[0].packet = 1;
  EXPECT_THAT(LoadError(receiver), HasSubstr("which only MM2S can"));
}

TEST(Packets, SwitchesThatCannotBeAreRefused) {
  const auto why = [](auto change) {
    auto config = Split({6});
    change(config->tiles[{0, 2}]);
    return LoadError(config);
  };
  EXPECT_THAT(why([](TileConfig& t) { t.packet_slots[0].id = 32; }),
              HasSubstr("packet ID of a slot is 32, want 0 to 31"));
  EXPECT_THAT(why([](TileConfig& t) { t.packet_slots[0].arbiter = 6; }),
              HasSubstr("arbiter of a slot is 6, want 0 to 5"));
  EXPECT_THAT(why([](TileConfig& t) { t.packet_outputs[0].msels = 16; }),
              HasSubstr("msels of an output is 16, want 0 to 15"));
  EXPECT_THAT(why([](TileConfig& t) {
                t.connections = {{{B::kSouth, 1}, {B::kNorth, 0}}};
              }),
              HasSubstr("South 1 is both circuit and packet switched"));
  EXPECT_THAT(why([](TileConfig& t) {
                t.connections = {{{B::kSouth, 0}, {B::kNorth, 5}}};
              }),
              HasSubstr("output North 5 has two inputs"));
  EXPECT_THAT(why([](TileConfig& t) {
                t.packet_slots.insert(t.packet_slots.end(), 2,
                                      t.packet_slots[0]);
              }),
              HasSubstr("South 1 has more than 4 slots"));
}

TEST(Packets, ACircleIsRefused) {
  auto config = Split({6});
  TileConfig& low = config->tiles[{0, 2}];
  TileConfig& high = config->tiles[{0, 3}];
  high.connections = {{{B::kSouth, 5}, {B::kSouth, 0}}};
  low.packet_slots.push_back({.in = {B::kNorth, 0}, .id = 4, .msel = 2});
  EXPECT_THAT(LoadError(config), HasSubstr("packet 4 runs in a circle"));
}

// Who waits behind a packet that nobody takes is told which one.
TEST(Packets, ADeadlockNamesThePacketInTheWay) {
  auto config = Merge(1, false);
  Array array(config, {});
  Words got(1);
  // One word of five is taken: the rest of the packet stands in the way.
  const SimRun run = RunOn(array, Collect(1), {&got});
  ASSERT_EQ(run.state, RunState::kCompleted) << run.detail;
  EXPECT_EQ(got[0], PacketHeader({0, 2}, 4, 2));
  TxnStream never;
  AppendWait(&never, kShim, Direction::kS2MM, 0);
  const SimRun stuck = RunOn(array, never, {&got});
  EXPECT_EQ(stuck.state, RunState::kTimeout);
  EXPECT_THAT(stuck.detail,
              HasSubstr("(0,3) MM2S 0 descriptor 0 waits for an output that "
                        "packet 4 of (0,2) MM2S 0 holds"));
}

}  // namespace
}  // namespace sotto::npu
