// SPDX-License-Identifier: MIT
// Each limit of the hardware broken once: one line that says what is wanted.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "base/error.h"
#include "npu/design/designs.h"
#include "npu/design/planner.h"
#include "npu/design/router.h"

namespace sotto::npu {
namespace {

using testing::HasSubstr;

constexpr TileId kShim{0, 0};
constexpr TileId kMem{0, 1};
constexpr TileId kCore{0, 2};

constexpr KernelArg kArgs[] = {{KernelArg::Kind::kIn, "i8", 64},
                               {KernelArg::Kind::kOut, "i8", 64}};
const KernelInfo* Lookup(std::string_view name) {
  static const KernelInfo kTable[] = {
      {.name = "copy", .args = kArgs, .frame_bytes = 64, .code_bytes = 256},
      {.name = "huge", .args = kArgs, .frame_bytes = 64, .code_bytes = 16384},
      {.name = "deep", .args = kArgs, .frame_bytes = 4096, .code_bytes = 256},
  };
  for (const KernelInfo& kernel : kTable) {
    if (kernel.name == name) return &kernel;
  }
  return nullptr;
}

std::vector<Op> Copy(const std::string& kernel = "copy") {
  return {Acquire("in"), Acquire("out"),
          Call(kernel, {Element("in"), Element("out")}), Release("in"),
          Release("out")};
}

// In and out through one core.
Design Base() {
  Design d;
  d.name = "d";
  d.host_buffers = {{"in", 64, false}, {"out", 64, true}};
  d.Connect("in", At(kShim), {At(kCore)}, 64);
  d.Connect("out", At(kCore), {At(kShim)}, 64);
  CoreDesign& core = d.cores.emplace_back();
  core.tile = kCore;
  core.program = Copy();
  d.Transfer("in", "in", 64);
  d.Transfer("out", "out", 64);
  d.sequence.push_back(WaitFor({"out"}));
  return d;
}

std::string ErrorOf(const Design& design) {
  try {
    MakePlan(design, Lookup);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kBadInput);
    EXPECT_EQ(std::string_view(error.what()).find('\n'), std::string::npos);
    return error.what();
  }
  return "no error";
}
std::string Broken(const std::function<void(Design&)>& change) {
  Design d = Base();
  change(d);
  return ErrorOf(d);
}

TEST(Limits, TheBaseIsFine) { EXPECT_EQ(ErrorOf(Base()), "no error"); }

TEST(Limits, R7CoreMemory) {
  EXPECT_EQ(Broken([](Design& d) {
              d.buffers.push_back({"table", kCore, 64 * 1024 - 1024, {}});
            }),
            "design d: core (0,2): buffers and a stack of 1024 bytes are 65792 "
            "bytes, want at most 65536");
}

TEST(Limits, R7ProgramMemory) {
  EXPECT_THAT(Broken([](Design& d) { d.cores[0].program = Copy("huge"); }),
              HasSubstr("want at most 16384"));
}

TEST(Limits, R7MemTileMemory) {
  EXPECT_THAT(Broken([](Design& d) {
                d.buffers.push_back({"table", kMem, 512 * 1024 + 4, {}});
              }),
              HasSubstr("mem tile (0,1): buffers"));
}

TEST(Limits, R7Stack) {
  EXPECT_THAT(Broken([](Design& d) {
                d.cores[0].program = Copy("deep");
                d.cores[0].stack_bytes = 1024;
              }),
              HasSubstr("stack of 1024 bytes, its program needs 4192"));
}

TEST(Limits, BufferDescriptors) {
  EXPECT_THAT(Broken([](Design& d) { d.fifos[0].consumers[0].depth = 15; }),
              HasSubstr("needs 2 buffer descriptors, 1 are free"));
}

TEST(Limits, Locks) {
  EXPECT_THAT(Broken([](Design& d) {
                for (int i = 0; i < 13; ++i) {
                  d.locks.push_back({"l" + std::to_string(i), kCore, 0});
                }
              }),
              HasSubstr("is one too many, there are 16"));
}

TEST(Limits, LockValues) {
  EXPECT_THAT(Broken([](Design& d) {
                d.locks.push_back({"l", kCore, 64});
              }),
              HasSubstr("starts at 64, want 0..63"));
}

TEST(Limits, CoreChannels) {
  EXPECT_EQ(Broken([](Design& d) {
              d.Connect("in2", At({1, 0}), {At(kCore)}, 64);
              d.Connect("in3", At({2, 0}), {At(kCore)}, 64);
            }),
            "design d: core (0,2): fifo in3 at (0,2) wants one more S2MM "
            "channel, there are 2");
}

TEST(Limits, ShimChannels) {
  EXPECT_EQ(Broken([](Design& d) {
              d.Connect("a", At(kShim), {At({1, 2})}, 64);
              d.Connect("b", At(kShim), {At({1, 3})}, 64);
            }),
            "design d: shim (0,0): fifo b at (0,0) wants one more MM2S "
            "channel, there are 2");
}

TEST(Limits, HostBuffers) {
  EXPECT_EQ(Broken([](Design& d) {
              for (int i = 0; i < 4; ++i) {
                d.host_buffers.push_back({"b" + std::to_string(i), 64, false});
              }
            }),
            "design d: 6 host buffers, a kernel takes at most 5");
}

TEST(Limits, QueueEntries) {
  const auto five = [](Design& d) {
    for (int i = 0; i < 4; ++i) {
      Step& step = d.Transfer("in", "in", 64);
      std::rotate(d.sequence.begin(), d.sequence.end() - 1, d.sequence.end());
      (void)step;
    }
  };
  EXPECT_THAT(Broken(five), HasSubstr("is number 5 in the queue"));
  // Paced, the stream waits instead.
  EXPECT_EQ(Broken([&](Design& d) {
              five(d);
              d.paced = true;
            }),
            "no error");
}

TEST(Limits, DimensionWidths) {
  const auto with = [](std::vector<DmaDim> dims) {
    return Broken([&](Design& d) {
      d.host_buffers[0].bytes = int64_t{1} << 31;
      d.sequence[0].words = 0;
      d.sequence[0].dims = std::move(dims);
    });
  };
  EXPECT_THAT(with({{1024, 1}, {2, 1024}}),
              HasSubstr("dimension 0 of size 1024, want 1..1023"));
  EXPECT_THAT(with({{2, 1}, {2, 2 << 20}}),
              HasSubstr("with a stride of 2097152 words"));
  EXPECT_THAT(with({{2, 1}, {2, 2}, {2, 4}, {2, 8}}),
              HasSubstr("4 dimensions, a shim (0,0) has 3"));
  EXPECT_THAT(with({{2, 1}, {2, 0}}), HasSubstr("stride of 0 words"));
  EXPECT_THAT(Broken([](Design& d) { d.sequence[0].runs = 257; }),
              HasSubstr("257 runs, want 1..256"));
  EXPECT_THAT(Broken([](Design& d) {
                d.sequence[0].iteration = {65, 1};
              }),
              HasSubstr("iteration of 65 by 1 words"));
}

TEST(Limits, TransferLengths) {
  EXPECT_THAT(Broken([](Design& d) {
                d.Connect("big", At({1, 0}), {At({1, 1}, 1)}, 1 << 20);
                d.Connect("on", At({1, 1}, 1), {At({1, 0})}, 1 << 20);
                d.links.push_back({{{"big", 0}}, {"on"}, {}});
              }),
              HasSubstr("want at most 524288"));
  EXPECT_THAT(Broken([](Design& d) { d.sequence[0].words = 17; }),
              HasSubstr("reaches byte 68 of buffer in, which has 64"));
}

TEST(Limits, Pads) {
  EXPECT_THAT(Broken([](Design& d) {
                d.fifos[1].producer.dims = {{16, 1}};
                d.fifos[1].producer.pad_before[0] = 1;
              }),
              HasSubstr("only what a mem tile sends can be padded"));
}

TEST(Limits, Parts) {
  const auto linked = [](std::vector<int64_t> offsets) {
    return Broken([&](Design& d) {
      d.Connect("l3", At({1, 0}), {At({1, 1})}, 128);
      d.Connect("a", At({1, 1}), {At({1, 2})}, 64);
      d.Connect("b", At({1, 1}), {At({1, 3})}, 64);
      for (const int row : {2, 3}) {
        CoreDesign& core = d.cores.emplace_back();
        core.tile = {1, row};
        const std::string fifo = row == 2 ? "a" : "b";
        core.program = {Acquire(fifo), Release(fifo)};
      }
      d.links.push_back({{{"l3", 0}}, {"a", "b"}, std::move(offsets)});
    });
  };
  EXPECT_EQ(linked({0, 64}), "no error");
  EXPECT_THAT(linked({0, 32}), HasSubstr("starts at 32, want 64"));
  EXPECT_THAT(linked({0}), HasSubstr("1 offsets for 2 parts"));
}

TEST(Limits, Programs) {
  EXPECT_THAT(Broken([](Design& d) { d.cores[0].program = Copy("none"); }),
              HasSubstr("no kernel named none"));
  EXPECT_THAT(Broken([](Design& d) {
                d.cores[0].program = {Acquire("in", 3), Release("in", 3)};
              }),
              HasSubstr("acquires 3 elements of fifo in while holding 0 of "
                        "its 2"));
  EXPECT_THAT(Broken([](Design& d) { d.cores[0].program.pop_back(); }),
              HasSubstr("acquires 1 elements of fifo out and releases 0"));
  EXPECT_THAT(Broken([](Design& d) {
                d.buffers.push_back({"p", kCore, 4, {}});
                d.cores[0].program.insert(d.cores[0].program.begin(),
                                          LoopBy(Parameter("p", 0)));
                d.cores[0].program.push_back(EndLoop());
              }),
              HasSubstr("want a multiple of its depth 2"));
  EXPECT_THAT(Broken([](Design& d) {
                d.cores[0].program = {
                    Acquire("in"), Acquire("out"),
                    Call("copy", {Element("in", 1), Element("out")}),
                    Release("in"), Release("out")};
              }),
              HasSubstr("uses element 1 of fifo in while holding 1"));
  EXPECT_THAT(Broken([](Design& d) { d.fifos[0].element_bytes = 32; }),
              HasSubstr("64 bytes of in, which has 32"));
}

TEST(Limits, Waits) {
  EXPECT_THAT(Broken([](Design& d) { d.sequence[1].token = false; }),
              HasSubstr("wait for fifo out: no task with a token"));
}

// Twelve streams from the west into one column of cores: more than the ports
// between columns carry.
TEST(Limits, Ports) {
  std::vector<Net> nets;
  for (int i = 0; i < 13; ++i) {
    nets.push_back({.name = "n" + std::to_string(i),
                    .source = {{0, 2}, i},
                    .sinks = {{{3, 5}, i}}});
  }
  try {
    RouteNets(nets);
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("no way is left"));
  }
}

// A net of many sinks is a tree: no switch output carries it twice.
TEST(Router, BroadcastsBranchOnce) {
  Net net{.name = "b", .source = {{1, 0}, 0}};
  for (int col = 0; col < 4; ++col) {
    for (int row = 2; row < 6; ++row) net.sinks.push_back({{col, row}, 0});
  }
  const Routes routes = RouteNets({net});
  size_t hops = 0;
  for (const auto& [tile, connections] : routes.connections) {
    for (const Connection& c : connections) {
      EXPECT_EQ(c.in, connections.front().in) << tile.ToString();
      if (c.out.bundle != Port::Bundle::kDma) ++hops;
    }
  }
  EXPECT_EQ(hops + 1, routes.connections.size());
}

}  // namespace
}  // namespace sotto::npu
