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
// The same with a load and a store every cycle for a while.
std::vector<LoopCost> BusyCost(std::span<const int32_t>) {
  return {{.trips = 400, .loads = 1, .stores = 1}};
}
constexpr KernelInfo kBusy{
    .name = "busy", .args = kAddOneArgs, .call = AddOne, .cost = BusyCost};
constexpr KernelInfo kOverrun{
    .name = "overrun", .args = kAddOneArgs, .call = Overrun};

const KernelInfo* FindTestKernel(std::string_view name) {
  for (const KernelInfo* k : {&kAddOne, &kBusy, &kGreedy, &kOverrun}) {
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

// The line of a run that must fail, and its state.
void ExpectFault(std::shared_ptr<ArrayConfig> config, const TxnStream& stream,
                 RunState state, const std::string& want,
                 size_t in_bytes = 256) {
  Array array(std::move(config), TestOptions());
  Bytes in(in_bytes);
  Bytes out(256);
  const SimRun run = RunOn(array, stream, {&in, &out}, 100'000'000);
  EXPECT_EQ(run.state, state);
  EXPECT_THAT(run.detail, HasSubstr(want));
  EXPECT_THAT(run.detail, Not(HasSubstr("\n")));
}

TEST(SimArray, DeadlockSaysWhoWaitsForWhat) {
  // The core gives the wrong lock back: nobody tells that output is there.
  auto config = SingleTileArray("add_one", 256, 256);
  for (CoreOp& op : config->tiles[{0, 2}].program) {
    if (op.kind == CoreOp::Kind::kRelease && op.lock == 3) op.lock = 2;
  }
  ExpectFault(config, SingleTileStream(256, 256), RunState::kTimeout,
              "deadlock, nothing can move: controller waits for the token of "
              "(0,0) S2MM 0; core (0,2) waits for lock 1 of (0,2) >= 1, it is "
              "0; (0,0) S2MM 0 descriptor 0 waits for (0,2) MM2S 0, 64 words "
              "are left; ");
}

TEST(SimArray, DeadlockOfAnOutputThatNobodySends) {
  TxnStream stream;
  AppendTask(&stream, {0, 0}, Direction::kS2MM, 1, {.id = 0, .words = 4}, 1, 0,
             true);
  AppendWait(&stream, {0, 0}, Direction::kS2MM, 1);
  ExpectFault(SingleTileArray("add_one", 256, 256), stream, RunState::kTimeout,
              "(0,0) S2MM 1 descriptor 0 has no route");
}

TEST(SimArray, LocksThatOverflowAreFaults) {
  auto config = SingleTileArray("add_one", 256, 256);
  for (CoreOp& op : config->tiles[{0, 2}].program) {
    if (op.kind == CoreOp::Kind::kRelease && op.lock == 0) op.value = 64;
  }
  ExpectFault(config, SingleTileStream(256, 256), RunState::kError,
              "(0,2): lock 0 is 0 and is released by 64, want 0 to 63");
  config = SingleTileArray("add_one", 256, 256);
  for (CoreOp& op : config->tiles[{0, 2}].program) {
    if (op.kind == CoreOp::Kind::kRelease && op.lock == 0) op.value = -2;
  }
  ExpectFault(config, SingleTileStream(256, 256), RunState::kError,
              "(0,2): lock 0 is 0 and is released by -2, want 0 to 63");
}

TEST(SimArray, WritesOutsideEveryBufferAreFound) {
  ExpectFault(SingleTileArray("overrun", 256, 256), SingleTileStream(256, 256),
              RunState::kCompleted, "");
  // The second output buffer is the last: what follows belongs to nobody.
  Array array(SingleTileArray("overrun", 256, 256), TestOptions());
  Bytes in(512);
  Bytes out(512);
  const SimRun run = RunOn(array, SingleTileStream(512, 512), {&in, &out});
  EXPECT_EQ(run.state, RunState::kError);
  EXPECT_EQ(run.detail,
            "(0,2): address 0x82c belongs to no buffer and was overwritten");
}

TEST(SimArray, StreamsThatReachPastHostBuffersAreFaults) {
  auto config = SingleTileArray("add_one", 256, 256);
  ExpectFault(config, SingleTileStream(512, 256), RunState::kError,
              "(0,0) MM2S 0: descriptor 1 reaches byte 512 of host buffer 0, "
              "which has 256");
  TxnStream stream = SingleTileStream(256, 256);
  for (TxnOp& op : stream.ops) {
    if (op.kind == TxnOp::Kind::kDdrPatch) op.argument = 4;
  }
  ExpectFault(config, stream, RunState::kError,
              "instruction stream: operation 1: names host buffer 4, 2 were "
              "passed");
  stream = SingleTileStream(256, 256);
  std::erase_if(stream.ops, [](const TxnOp& op) {
    return op.kind == TxnOp::Kind::kDdrPatch && op.argument == 1;
  });
  ExpectFault(config, stream, RunState::kError,
              "(0,0) S2MM 0: descriptor 0: host address 0x0 was never patched");
}

TEST(SimArray, StreamsThatWriteNowhereAreFaults) {
  auto config = SingleTileArray("add_one", 256, 256);
  TxnStream stream = SingleTileStream(256, 256);
  stream.ops.insert(
      stream.ops.begin(),
      {.kind = TxnOp::Kind::kWrite32, .address = 0x1FFF0, .values = {1}});
  ExpectFault(config, stream, RunState::kError,
              "operation 0: writes 0x1fff0, where this array has no register");
  stream = SingleTileStream(256, 256);
  stream.ops[2].values[0] = 9;
  ExpectFault(config, stream, RunState::kError,
              "(0,0) MM2S 0: descriptor 9 was never written");
}

TEST(SimArray, AFifthTaskWaitsForAPlaceInTheQueue) {
  // Five inputs queued before any output is asked for: the array holds 2 + 2
  // elements and four tasks, so the controller must wait, and cannot go on.
  const auto stream_of = [](int inputs, bool outputs_first) {
    TxnStream stream;
    const auto out = [&] {
      AppendTask(&stream, {0, 0}, Direction::kS2MM, 0,
                 {.id = 0, .words = 64 * inputs}, 1, 0, true);
    };
    if (outputs_first) out();
    for (int i = 0; i < inputs; ++i) {
      AppendTask(&stream, {0, 0}, Direction::kMM2S, 0,
                 {.id = 1 + i, .words = 64}, 0, static_cast<uint32_t>(256 * i),
                 false);
    }
    if (!outputs_first) out();
    AppendWait(&stream, {0, 0}, Direction::kS2MM, 0);
    return stream;
  };
  for (const bool outputs_first : {true, false}) {
    Array array(SingleTileArray("add_one", 256, 256), TestOptions());
    const int n = 10;
    Bytes in = RandomBytes(256 * n, 1);
    Bytes out(in.size());
    const SimRun run = RunOn(array, stream_of(n, outputs_first), {&in, &out});
    if (outputs_first) {
      EXPECT_EQ(run.state, RunState::kCompleted) << run.detail;
    } else {
      // Elements 0-1 in output buffers, 2-3 in input buffers, 4 with the core
      // stalled; tasks 4..7 fill the queue.
      EXPECT_EQ(run.state, RunState::kTimeout);
      EXPECT_THAT(run.detail, HasSubstr("for a place in a task queue"));
    }
  }
}

TEST(SimArray, DescriptorsInUseMayNotBeRewritten) {
  TxnStream stream = SingleTileStream(512, 256);
  const TxnOp rewrite = stream.ops[0];
  stream.ops.insert(stream.ops.begin() + 3, rewrite);
  ExpectFault(SingleTileArray("add_one", 256, 256), stream, RunState::kError,
              "operation 3: rewrites descriptor 1 of (0,0) while a channel "
              "uses it",
              512);
}

TEST(SimArray, TimeLimit) {
  auto config = SingleTileArray("add_one", 256, 256);
  Array array(config, TestOptions());
  Bytes in(256);
  Bytes out(256);
  const SimRun run =
      RunOn(array, SingleTileStream(256, 256), {&in, &out}, 4000);
  EXPECT_EQ(run.state, RunState::kTimeout);
  EXPECT_THAT(run.detail, HasSubstr("still running after 4000 cycles: "));
}

TEST(SimArray, WrongArgumentsAreRefused) {
  Array array(SingleTileArray("add_one", 256, 256), TestOptions());
  const TxnStream stream = SingleTileStream(256, 256);
  Bytes a(256);
  Bytes b(255);
  EXPECT_EQ(RunOn(array, stream, {&a}).detail,
            "1 host buffers, add_one wants 2");
  EXPECT_EQ(RunOn(array, stream, {&a, &b}).detail,
            "host buffer 1 has 255 bytes, add_one wants 256");
  EXPECT_EQ(RunOn(array, stream, {&a, &a, &a, &a, &a, &a}).detail,
            "6 host buffers, a kernel takes at most 5");
}

void ExpectRefused(const ArrayConfig& config, const std::string& want) {
  try {
    Array array(std::make_shared<ArrayConfig>(config), TestOptions());
    ADD_FAILURE() << "accepted, want " << want;
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kBadInput);
    EXPECT_THAT(error.what(), HasSubstr(want));
  }
}

TEST(SimArray, ConfigurationsThatCannotBeAreRefused) {
  const TileId core{0, 2};
  const ArrayConfig good = *SingleTileArray("add_one", 256, 256);
  ArrayConfig bad = good;
  bad.tiles[core].buffers[1].address = 0x480;
  ExpectRefused(bad, "(0,2): in_1 at 0x480 overlaps in_0, which ends at 0x500");
  bad = good;
  bad.tiles[core].stack_bytes = 2048;
  ExpectRefused(bad,
                "(0,2): in_0 at 0x400 overlaps the stack, which ends at "
                "0x800");
  bad = good;
  bad.tiles[core].buffers[3].address = 0xFF80;
  ExpectRefused(bad,
                "(0,2): out_1 is at 0xff80 to 0x10080, memory ends at "
                "0x10000");
  bad = good;
  bad.tiles[core].descriptors[0].address = 0xFF80;
  ExpectRefused(bad,
                "(0,2): descriptor 0 reaches address 0x10080, memory ends at "
                "0x10000");
  bad = good;
  bad.tiles[core].program_bytes = 16385;
  ExpectRefused(bad, "(0,2): program of 16385 bytes, program memory has 16384");
  bad = good;
  bad.tiles[core].program[3].kernel = "no_such";
  ExpectRefused(bad, "(0,2): there is no kernel no_such");
  bad = good;
  bad.tiles[core].program[3].args.pop_back();
  ExpectRefused(bad,
                "(0,2): kernel add_one takes 2 arguments, is called with 1");
  bad = good;
  bad.tiles[core].program[3].args[1] = ConstantArg(3);
  ExpectRefused(bad,
                "(0,2): argument 1 of kernel add_one is a number, want a "
                "buffer");
  bad = good;
  bad.tiles[core].program[3].args[1].value = 0x70000 + 0x480;
  ExpectRefused(bad,
                "(0,2): argument 1 of kernel add_one: 256 bytes at "
                "0x70480 reach past buffer in_0 of 256 bytes");
  bad = good;
  bad.tiles[core].program[3].args[1].value = 0x50000;
  ExpectRefused(bad, "is in the memory of (-1,2), which is no core");
  bad = good;
  bad.tiles[core].program[1].lock_tile = {0, 4};
  ExpectRefused(bad, "(0,2): lock 1 of (0,4) is out of the core's reach");
  bad = good;
  bad.host_buffer_bytes.resize(6);
  ExpectRefused(bad, "add_one: 6 host buffers, a kernel takes at most 5");
}

// Two cores share the memory of the lower one: no DMA between them.
TEST(SimArray, NeighboursShareMemory) {
  auto config = SingleTileArray("add_one", 256, 256);
  const TileId low{0, 2};
  const TileId high{0, 3};
  TileConfig& tile = config->tiles[low];
  // The lower core adds one into "middle", the upper core adds one more from
  // there into the output.
  tile.buffers.push_back({"middle", 0x4000, 256, {}});
  tile.locks.push_back({4, 1, "middle_empty"});
  tile.locks.push_back({5, 0, "middle_full"});
  tile.program = {LoopOp()};
  config->tiles[high].program = {LoopOp()};
  for (int i = 0; i < 2; ++i) {
    const int64_t in = 0x400 + 256 * i;
    const int64_t out = 0x600 + 256 * i;
    const CoreOp first[] = {
        AcquireOp(low, 1), AcquireOp(low, 4),
        CallOp("add_one", {BufferArg(in), BufferArg(0x4000)}),
        ReleaseOp(low, 0), ReleaseOp(low, 5)};
    tile.program.insert(tile.program.end(), std::begin(first), std::end(first));
    const CoreOp second[] = {
        AcquireOp(low, 5), AcquireOp(low, 2),
        CallOp("add_one", {{CoreArg::Kind::kBuffer, 0x40000 + 0x4000},
                           {CoreArg::Kind::kBuffer, 0x40000 + out}}),
        ReleaseOp(low, 4), ReleaseOp(low, 3)};
    auto& upper = config->tiles[high].program;
    upper.insert(upper.end(), std::begin(second), std::end(second));
  }
  tile.program.push_back(EndLoopOp());
  config->tiles[high].program.push_back(EndLoopOp());
  Array array(config, TestOptions());
  Bytes in = RandomBytes(256 * 5, 3);
  Bytes out(in.size());
  const SimRun run =
      RunOn(array, SingleTileStream(256 * 5, 256 * 5), {&in, &out});
  ASSERT_EQ(run.state, RunState::kCompleted) << run.detail;
  for (size_t i = 0; i < in.size(); i += 4) {
    uint32_t x = 0;
    uint32_t y = 0;
    std::memcpy(&x, in.data() + i, 4);
    std::memcpy(&y, out.data() + i, 4);
    ASSERT_EQ(y, x + 2);
  }
}

// The instruction stream itself may program mem and core tiles.
TEST(SimArray, StreamsProgramCoreTilesToo) {
  auto config = SingleTileArray("add_one", 256, 256);
  const TileId core{0, 2};
  TileConfig& tile = config->tiles[core];
  const std::vector<BufferDescriptor> descriptors = tile.descriptors;
  tile.descriptors.clear();
  tile.starts.clear();
  tile.locks = {{2, 2, "out_prod"}};
  TxnStream stream;
  for (const BufferDescriptor& d : descriptors) {
    stream.ops.push_back({.kind = TxnOp::Kind::kBlockWrite,
                          .address = DescriptorAddress(core, d.id),
                          .values = EncodeDescriptor(TileKind::kCore, d)});
  }
  stream.ops.push_back({.kind = TxnOp::Kind::kWrite32,
                        .address = LockAddress(core, 0),
                        .values = {2}});
  stream.ops.push_back({.kind = TxnOp::Kind::kWrite32,
                        .address = QueueAddress(core, Direction::kS2MM, 0),
                        .values = {EncodeQueueEntry({.descriptor = 0})}});
  stream.ops.push_back({.kind = TxnOp::Kind::kWrite32,
                        .address = QueueAddress(core, Direction::kMM2S, 0),
                        .values = {EncodeQueueEntry({.descriptor = 2})}});
  // A first element written by the controller, not by DMA.
  stream.ops.push_back({.kind = TxnOp::Kind::kBlockWrite,
                        .address = DataAddress(core, 0x9000),
                        .values = {11, 12}});
  const TxnStream rest = SingleTileStream(256, 256);
  stream.ops.insert(stream.ops.end(), rest.ops.begin(), rest.ops.end());
  Array array(config, TestOptions());
  Bytes in = RandomBytes(256, 3);
  Bytes out(256);
  const SimRun run = RunOn(array, Decode(Encode(stream)), {&in, &out});
  ASSERT_EQ(run.state, RunState::kCompleted) << run.detail;
  uint32_t x = 0;
  uint32_t y = 0;
  std::memcpy(&x, in.data() + 252, 4);
  std::memcpy(&y, out.data() + 252, 4);
  EXPECT_EQ(y, x + 1);
  std::memcpy(&x, array.Memory(core).data() + 0x9004, 4);
  EXPECT_EQ(x, 12U);
}

// A FIFO of depth two lets its producer run two ahead, never three.
TEST(SimArray, R6OccupancyStaysWithinDepth) {
  auto config = SingleTileArray("add_one", 256, 256);
  SimOptions options = TestOptions();
  options.trace = true;
  Array array(config, options);
  Bytes in = RandomBytes(256 * 20, 3);
  Bytes out(in.size());
  const SimRun run =
      RunOn(array, SingleTileStream(256 * 20, 256 * 20), {&in, &out});
  ASSERT_EQ(run.state, RunState::kCompleted) << run.detail;
  // From the timeline: when each element had come in, and when the kernel that
  // used it began.
  std::vector<int64_t> arrived;
  std::vector<int64_t> begun;
  for (const TraceSpan& span : array.trace()) {
    if (span.tile != TileId{0, 2}) continue;
    if (span.lane == 0 && span.kind == TraceSpan::Kind::kCompute) {
      begun.push_back(span.from);
    }
    if (span.lane == 1 && span.kind == TraceSpan::Kind::kTransfer) {
      arrived.push_back(span.from);
    }
  }
  ASSERT_EQ(begun.size(), 20U);
  ASSERT_EQ(arrived.size(), 20U);
  for (size_t i = 2; i < 20; ++i) EXPECT_GE(arrived[i], begun[i - 2]) << i;
  for (size_t i = 0; i < 20; ++i) EXPECT_LT(arrived[i], begun[i]) << i;
  // Locks end as they began; the DMA has taken the buffer it will fill next.
  EXPECT_EQ(array.LockValue({0, 2}, 0), 1);
  EXPECT_EQ(array.LockValue({0, 2}, 1), 0);
  EXPECT_EQ(array.LockValue({0, 2}, 2), 2);
  EXPECT_EQ(array.LockValue({0, 2}, 3), 0);
}

// R11: DMA in a bank that a kernel uses costs the kernel cycles; buffers in
// banks of their own cost none; the results are the same.
TEST(SimArray, R11BanksCostTimeOnly) {
  Bytes outs[2];
  int64_t conflicts[2] = {};
  for (const int apart : {0, 1}) {
    auto config = SingleTileArray("busy", 256, 256);
    TileConfig& tile = config->tiles[{0, 2}];
    for (size_t i = 0; apart != 0 && i < 4; ++i) {
      const int64_t from = tile.buffers[i].address;
      const auto to = static_cast<int64_t>(0x4000 * i + 0x400);
      tile.buffers[i].address = to;
      tile.descriptors[i].address = to;
      for (CoreOp& op : tile.program) {
        for (CoreArg& arg : op.args) {
          if (arg.value == kOwn + from) arg.value = -to;
        }
      }
    }
    for (CoreOp& op : tile.program) {
      for (CoreArg& arg : op.args) {
        if (arg.value < 0) arg.value = kOwn - arg.value;
      }
    }
    Array array(config, TestOptions());
    Bytes in = RandomBytes(256 * 30, 3);
    outs[apart].resize(in.size());
    const SimRun run =
        RunOn(array, SingleTileStream(256 * 30, 256 * 30), {&in, &outs[apart]});
    ASSERT_EQ(run.state, RunState::kCompleted) << run.detail;
    conflicts[apart] = run.report.cores.at({0, 2}).conflicts;
  }
  EXPECT_EQ(outs[0], outs[1]);
  // At most one cycle a beat: 30 elements of 16 beats come in, as many go out.
  EXPECT_GT(conflicts[0], 0);
  EXPECT_LE(conflicts[0], 2 * 30 * 16);
  EXPECT_EQ(conflicts[1], 0);
}

// Same input, same configuration: same bytes and same cycles.
TEST(SimArray, RunsRepeatExactly) {
  int64_t cycles[2];
  Bytes outs[2];
  for (int i = 0; i < 2; ++i) {
    Array array(SingleTileArray("add_one", 256, 256), TestOptions());
    Bytes in = RandomBytes(256 * 9, 3);
    outs[i].resize(in.size());
    const SimRun run =
        RunOn(array, SingleTileStream(256 * 9, 256 * 9), {&in, &outs[i]});
    cycles[i] = run.report.cycles;
  }
  EXPECT_EQ(outs[0], outs[1]);
  EXPECT_EQ(cycles[0], cycles[1]);
}

}  // namespace
}  // namespace sotto::npu
