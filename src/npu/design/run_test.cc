// SPDX-License-Identifier: MIT
// Planned designs run on the simulator: what comes out is what the kernels
// make of what went in, however the planner placed and routed it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <random>

#include "npu/design/designs.h"
#include "npu/design/planner.h"
#include "npu/run/design_list.h"
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

TEST(Run, L1L2PassthroughAndAdd) {
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
TEST(Run, K6K7ColumnsAndHeadsEqualSingleCalls) {
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

void CallKernel(std::string_view name, std::initializer_list<Bytes*> buffers,
                std::initializer_list<int32_t> ints) {
  std::vector<std::byte*> pointers;
  for (Bytes* b : buffers) pointers.push_back(b->data());
  FindKernel(name)->call({pointers, ints});
}

// bf16 of a normal distribution.
Bytes RandomBf16(std::mt19937& rng, int64_t n) {
  std::normal_distribution<float> normal;
  Bytes bytes(static_cast<size_t>(2 * n));
  for (int64_t i = 0; i < n; ++i) {
    const auto bits = std::bit_cast<uint32_t>(normal(rng)) >> 16;
    bytes[static_cast<size_t>(2 * i)] = static_cast<std::byte>(bits & 0xFF);
    bytes[static_cast<size_t>(2 * i + 1)] = static_cast<std::byte>(bits >> 8);
  }
  return bytes;
}

// K15: three cores in a row give what the three kernels give one after the
// other, through shared memory and through streams.
TEST(Run, K15ChainEqualsComposition) {
  std::mt19937 rng(4);
  const Bytes in = RandomBf16(rng, 16 * 1024);
  for (const char* name : {"chain", "chain-streams"}) {
    Running run(MakeDesign(name));
    run.buffers[0] = in;
    run.Run();
    for (int call = 0; call < 16; ++call) {
      Bytes a(in.begin() + call * 2048, in.begin() + (call + 1) * 2048);
      Bytes b(2048);
      CallKernel("layer_norm_bf16_1024", {&a, &b}, {});
      CallKernel("softmax_bf16_1024", {&b, &a}, {});
      CallKernel("gelu_bf16_1024", {&a, &b}, {});
      EXPECT_TRUE(
          std::equal(b.begin(), b.end(), run.buffers[1].begin() + call * 2048))
          << name << ", call " << call;
    }
  }
}

// Tables that move with the trips of loops, unrolled or not, and numbers that
// say which trip it is.
TEST(Run, ArgumentsMoveWithLoops) {
  constexpr TileId kTile{0, 2};
  for (const int depth : {1, 2, 3}) {
    Design d;
    d.name = "moving";
    d.host_buffers = {{"in", 15 * 64, false}, {"out", 15 * 64, true}};
    d.Connect("in", At({0, 0}), {At(kTile, depth)}, 64);
    d.Connect("out", At(kTile, depth), {At({0, 0})}, 64);
    d.buffers.push_back({"table", kTile, 15 * 64, {}});
    for (int i = 0; i < 15 * 64; ++i) {
      d.buffers[0].initial.push_back(static_cast<uint8_t>(i / 64));
    }
    CoreDesign& core = d.cores.emplace_back();
    core.tile = kTile;
    core.program = {
        Loop(3), Loop(5), Acquire("in"), Acquire("out"),
        // table[outer * 5 + inner], of which outer is a second argument.
        Call("add_i8", {Element("in"), Memory("table").PerTrip(64, 0),
                        Element("out"), Constant(64)}),
        Call("add_i8", {Element("out"), Memory("table").PerTrip(64, 1),
                        Element("out"), Constant(0).PerTrip(32, 1)}),
        Release("in"), Release("out"), EndLoop(), EndLoop()};
    d.Transfer("in", "in", 15 * 64);
    d.Transfer("out", "out", 15 * 64);
    d.sequence.push_back(WaitFor({"out"}));
    Running run(d);
    run.buffers[0].assign(15 * 64, std::byte{1});
    for (int repeat = 0; repeat < 2; ++repeat) {
      run.Run();
      for (int i = 0; i < 15 * 64; ++i) {
        const int outer = i / 64 / 5;
        const int inner = i / 64 % 5;
        const int more = i % 64 < 32 * outer ? outer : 0;
        ASSERT_EQ(static_cast<int>(run.buffers[1][static_cast<size_t>(i)]),
                  1 + inner + more)
            << "depth " << depth << ", byte " << i;
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

// A random network of FIFOs around copying cores: some columns feed a core
// through streams of their own, some broadcast to several cores, some go
// through a mem tile that passes on, distributes and joins; depths, sizes and
// core counts vary. Whatever arrives must be what was sent.
class RandomGraph {
 public:
  explicit RandomGraph(unsigned seed) : rng_(seed) {
    design_.name = "random" + std::to_string(seed);
    for (int c = 0; c < kColumns; ++c) {
      if (c > 0 && Below(4) == 0) continue;
      switch (Below(4)) {
        case 0:
          Direct(c);
          break;
        case 1:
          Broadcast(c);
          break;
        case 2:
          Spread(c);
          break;
        default:
          Through(c);
          break;
      }
    }
    design_.host_buffers = {{"in", in_bytes_, false},
                            {"out", out_bytes_, true}};
    std::shuffle(design_.sequence.begin(), design_.sequence.end(), rng_);
    design_.sequence.push_back(WaitFor(outs_));
  }
  const Design& design() const { return design_; }

  void Check(const Bytes& in, const Bytes& out) const {
    for (const Copy& copy : copies_) {
      EXPECT_TRUE(std::equal(in.begin() + copy.from,
                             in.begin() + copy.from + copy.bytes,
                             out.begin() + copy.to))
          << design_.name << ": " << copy.what;
    }
  }

 private:
  struct Copy {
    int64_t from;
    int64_t to;
    int64_t bytes;
    std::string what;
  };
  int Below(int n) {
    return static_cast<int>(rng_() % static_cast<unsigned>(n));
  }
  int64_t Size() { return 64 * (1 + Below(24)); }
  int Depth() { return 1 + Below(4); }

  void Core(TileId tile, const std::string& in, const std::string& out,
            int64_t bytes) {
    CoreDesign& core = design_.cores.emplace_back();
    core.tile = tile;
    const std::vector<Op> copy = {
        Acquire(in), Acquire(out),
        Call("passthrough_u8", {Element(in), Element(out), Constant(bytes)}),
        Release(in), Release(out)};
    // Once in a while as a loop.
    const bool loop = Below(2) == 0;
    if (loop) core.program.push_back(Loop(1 + Below(5)));
    core.program.insert(core.program.end(), copy.begin(), copy.end());
    if (loop) core.program.push_back(EndLoop());
  }

  // `bytes` of the input through `fifo`; returns where they start.
  int64_t Send(const std::string& fifo, int64_t bytes) {
    design_.host_buffers = {{"in", 0, false}, {"out", 0, true}};
    design_.Transfer(fifo, "in", bytes, in_bytes_);
    in_bytes_ += bytes;
    return in_bytes_ - bytes;
  }
  int64_t Receive(const std::string& fifo, int64_t bytes) {
    design_.Transfer(fifo, "out", bytes, out_bytes_);
    outs_.push_back(fifo);
    out_bytes_ += bytes;
    return out_bytes_ - bytes;
  }
  std::string Name(const char* what, int c, int i = 0) {
    return std::string(what) + std::to_string(c) + "_" + std::to_string(i);
  }

  // Two cores, each with a stream in and one out.
  void Direct(int c) {
    for (int i = 0; i < 2; ++i) {
      const TileId core{c, 2 + i + 2 * Below(2)};
      bool taken = false;
      for (const CoreDesign& d : design_.cores) taken |= d.tile == core;
      if (taken) continue;
      const int64_t bytes = Size();
      const int64_t n = 1 + Below(9);
      const std::string in = Name("in", c, i);
      const std::string out = Name("out", c, i);
      design_.Connect(in, At({c, 0}), {At(core, Depth())}, bytes);
      design_.Connect(out, At(core, Depth()), {At({c, 0})}, bytes);
      Core(core, in, out, bytes);
      const int64_t from = Send(in, n * bytes);
      copies_.push_back({from, Receive(out, n * bytes), n * bytes, out});
    }
  }

  // One stream to two cores, each with its own way back.
  void Broadcast(int c) {
    const int64_t bytes = Size();
    const int64_t n = 1 + Below(9);
    const std::string in = Name("in", c);
    design_.Connect(in, At({c, 0}), {At({c, 2}, Depth()), At({c, 4}, Depth())},
                    bytes);
    const int64_t from = Send(in, n * bytes);
    for (int i = 0; i < 2; ++i) {
      const std::string out = Name("out", c, i);
      design_.Connect(out, At({c, 2 + 2 * i}, Depth()), {At({c, 0})}, bytes);
      Core({c, 2 + 2 * i}, in, out, bytes);
      copies_.push_back({from, Receive(out, n * bytes), n * bytes, out});
    }
  }

  // Distribute to up to four cores, join again.
  void Spread(int c) {
    const int cores = 2 + Below(3);
    const int64_t n = 1 + Below(9);
    const std::string in = Name("in", c);
    const std::string out = Name("out", c);
    Link there{{{in, 0}}, {}, {}};
    Link back{{}, {out}, {}};
    std::vector<int64_t> sizes;
    int64_t all = 0;
    for (int i = 0; i < cores; ++i) {
      sizes.push_back(Size());
      there.offsets.push_back(all);
      back.offsets.push_back(all);
      all += sizes.back();
    }
    design_.Connect(in, At({c, 0}), {At({c, 1}, 1 + Below(2))}, all);
    for (int i = 0; i < cores; ++i) {
      const int64_t bytes = sizes[static_cast<size_t>(i)];
      const std::string to = Name("to", c, i);
      const std::string from = Name("from", c, i);
      design_.Connect(to, At({c, 1}), {At({c, 2 + i}, Depth())}, bytes);
      design_.Connect(from, At({c, 2 + i}, Depth()), {At({c, 1})}, bytes);
      Core({c, 2 + i}, to, from, bytes);
      there.out.push_back(to);
      back.in.push_back({from, 0});
    }
    design_.Connect(out, At({c, 1}, 1 + Below(2)), {At({c, 0})}, all);
    design_.links.push_back(there);
    design_.links.push_back(back);
    const int64_t start = Send(in, n * all);
    copies_.push_back({start, Receive(out, n * all), n * all, out});
  }

  // Forward, sent so often by the mem tile; the core takes smaller elements.
  void Through(int c) {
    const int64_t bytes = Size();
    const int parts = 1 + Below(4);
    const int repeat = 1 + Below(3);
    const int64_t n = 1 + Below(6);
    const std::string in = Name("in", c);
    const std::string to = Name("to", c);
    const std::string out = Name("out", c);
    design_.Connect(in, At({c, 0}), {At({c, 1}, Depth())}, parts * bytes);
    design_.Connect(to, At({c, 1}), {At({c, 3}, Depth())}, parts * bytes)
        .repeat = repeat;
    design_.fifos.back().consumers[0].element_bytes = bytes;
    design_.Connect(out, At({c, 3}, Depth()), {At({c, 0})}, bytes);
    design_.links.push_back({{{in, 0}}, {to}, {}});
    Core({c, 3}, to, out, bytes);
    const int64_t from = Send(in, n * parts * bytes);
    const int64_t back = Receive(out, n * parts * repeat * bytes);
    for (int64_t e = 0; e < n; ++e) {
      for (int r = 0; r < repeat; ++r) {
        copies_.push_back({from + e * parts * bytes,
                           back + (e * repeat + r) * parts * bytes,
                           parts * bytes, out});
      }
    }
  }

  std::mt19937 rng_;
  Design design_;
  int64_t in_bytes_ = 0;
  int64_t out_bytes_ = 0;
  std::vector<std::string> outs_;
  std::vector<Copy> copies_;
};

TEST(Run, RandomGraphsKeepTheirData) {
  for (unsigned seed = 0; seed < 60; ++seed) {
    const RandomGraph graph(seed);
    SCOPED_TRACE(graph.design().name);
    std::mt19937 rng(seed);
    Running run(graph.design());
    for (int repeat = 0; repeat < 2; ++repeat) {
      run.buffers[0] =
          RandomBytes(rng, static_cast<int64_t>(run.buffers[0].size()));
      run.Run();
      graph.Check(run.buffers[0], run.buffers[1]);
    }
    if (HasFailure()) return;
  }
}

}  // namespace
}  // namespace sotto::npu
