// SPDX-License-Identifier: MIT
#include "npu/sim/validate_arrays.h"

#include <fmt/format.h>

#include <memory>

#include "base/error.h"
#include "npu/design/planner.h"
#include "npu/design/single.h"
#include "npu/sim/array.h"
#include "npu/sim/cost.h"

namespace sotto::npu {
namespace {

SimReport RunOnZeros(const Plan& plan, SimOptions options) {
  options.canaries = false;
  Array array(std::make_shared<const ArrayConfig>(plan.config),
              std::move(options));
  std::vector<std::vector<std::byte>> buffers;
  std::vector<std::span<std::byte>> spans;
  for (const int64_t bytes : plan.config.host_buffer_bytes) {
    buffers.emplace_back(static_cast<size_t>(bytes));
    spans.emplace_back(buffers.back());
  }
  const SimRun run = array.Run(plan.stream, spans);
  if (run.state != RunState::kCompleted) {
    Fail(ErrorCode::kDevice, "validation: {}: {}", plan.config.name,
         run.detail);
  }
  return run.report;
}

// Of the published kernel in hand: time only, no results.
thread_local std::vector<LoopCost> timed_loops;
std::vector<LoopCost> TimedLoops(std::span<const int32_t>) {
  return timed_loops;
}
constexpr KernelArg kGemmArgs[] = {{KernelArg::Kind::kIn, "i8", 0},
                                   {KernelArg::Kind::kIn, "i8", 0},
                                   {KernelArg::Kind::kInOut, "i8", 0}};
constexpr KernelInfo kGemmKernel{
    .name = "published_gemm", .args = kGemmArgs, .cost = TimedLoops};
constexpr KernelInfo kOneInput{.name = "published_kernel",
                               .args = std::span(kGemmArgs).subspan(1),
                               .cost = TimedLoops};
const KernelInfo* FindGemm(std::string_view name) {
  if (name == kGemmKernel.name) return &kGemmKernel;
  return name == kOneInput.name ? &kOneInput : FindKernel(name);
}

Design GemmDesign(const PublishedGemm& g) {
  const int64_t in_bytes = g.bf16 ? 2 : 1;
  const int64_t a_block = g.m * g.k * in_bytes;
  const int64_t b_block = g.k * g.n * in_bytes;
  const int64_t c_block = g.m * g.n * g.out_bits / 8;
  const int64_t steps = g.pk / g.k;
  const int64_t down = g.pm / (4 * g.m);
  const int64_t across = g.pn / (4 * g.n);
  Design d;
  d.name = "published GEMM";
  d.paced = true;
  // Host memory holds blocks in the order in which they are read.
  d.host_buffers = {{"a", 4 * down * steps * a_block, false},
                    {"b", 4 * across * steps * b_block, false},
                    {"c", 16 * down * across * c_block, true}};
  for (int i = 0; i < 4; ++i) {
    std::vector<FifoEnd> row;
    std::vector<FifoEnd> column;
    for (int j = 0; j < 4; ++j) {
      row.push_back(At({j, kFirstCoreRow + i}));
      column.push_back(At({i, kFirstCoreRow + j}));
    }
    const TileId shim{i, kShimRow};
    const TileId mem{i, kMemRow};
    const auto name = [i](const char* what) {
      return fmt::format("{}{}", what, i);
    };
    d.Connect(name("a_in"), At(shim), {At(mem)}, a_block);
    d.Connect(name("a"), At(mem), row, a_block);
    d.Connect(name("b_in"), At(shim), {At(mem)}, b_block);
    d.Connect(name("b"), At(mem), column, b_block);
    d.links.push_back({{{name("a_in"), 0}}, {name("a")}, {}});
    d.links.push_back({{{name("b_in"), 0}}, {name("b")}, {}});
    Link join{{}, {name("c")}, {}};
    for (int j = 0; j < 4; ++j) {
      const std::string part = fmt::format("c{}_{}", i, j);
      d.Connect(part, At({i, kFirstCoreRow + j}, 1), {At(mem)}, c_block);
      join.in.push_back({part, 0});
      join.offsets.push_back(j * c_block);
    }
    d.Connect(name("c"), At(mem), {At(shim)}, 4 * c_block);
    d.links.push_back(join);
  }
  for (int col = 0; col < 4; ++col) {
    for (int row = 0; row < 4; ++row) {
      const std::string a = fmt::format("a{}", row);
      const std::string b = fmt::format("b{}", col);
      const std::string c = fmt::format("c{}_{}", col, row);
      CoreDesign& core = d.cores.emplace_back();
      core.tile = {col, kFirstCoreRow + row};
      core.program = {
          Acquire(c),
          Loop(steps),
          Acquire(a),
          Acquire(b),
          Call("published_gemm", {Element(a), Element(b), Element(c)}),
          Release(a),
          Release(b),
          EndLoop(),
          Release(c)};
    }
  }
  for (int64_t y = 0; y < down; ++y) {
    for (int64_t x = 0; x < across; ++x) {
      for (int i = 0; i < 4; ++i) {
        d.Transfer(fmt::format("a_in{}", i), "a", steps * a_block,
                   (4 * y + i) * steps * a_block);
        d.Transfer(fmt::format("b_in{}", i), "b", steps * b_block,
                   (4 * x + i) * steps * b_block);
        d.Transfer(fmt::format("c{}", i), "c", 4 * c_block,
                   4 * (4 * (y * across + x) + i) * c_block);
      }
    }
  }
  d.sequence.push_back(WaitFor({"c0", "c1", "c2", "c3"}));
  return d;
}

}  // namespace

double ModelledMilliseconds(const Design& design, const SimParameters& p) {
  SimOptions options;
  options.parameters = p;
  return RunOnZeros(MakePlan(design), options).milliseconds();
}

double InvocationMicroseconds(const std::vector<LoopCost>& loops,
                              const std::vector<int64_t>& in_bytes,
                              int64_t out_bytes, const SimParameters& p) {
  timed_loops = loops;
  SimOptions options;
  options.parameters = p;
  options.find_kernel = FindGemm;
  constexpr int kCalls[2] = {16, 256};
  double us[2] = {};
  for (const int k : {0, 1}) {
    const SingleTile tile{
        .kernel = std::string(in_bytes.size() == 1 ? kOneInput.name
                                                   : kGemmKernel.name),
        .in_bytes = in_bytes,
        .out_bytes = out_bytes,
        .calls = kCalls[k]};
    const Plan plan = MakePlan(MakeSingleTile("invocations", tile), FindGemm);
    us[k] = 1000 * RunOnZeros(plan, options).milliseconds();
  }
  return (us[1] - us[0]) / (kCalls[1] - kCalls[0]);
}

double StreamRate(const SimParameters& p) {
  // What a core's S2MM channel does between locks, over a long stream of
  // elements that the core takes at once.
  SimOptions options;
  options.parameters = p;
  options.parameters.ddr_read_gbps = 1000;
  options.parameters.shim_words_per_cycle = 1;
  constexpr int64_t kElement = 16384;
  double cycles[2] = {};
  constexpr int kElements[2] = {8, 40};
  for (const int k : {0, 1}) {
    Design d;
    d.name = "stream rate";
    d.host_buffers = {{"in", kElements[k] * kElement, false},
                      {"out", 4 * kElements[k], true}};
    d.Connect("in", At({0, kShimRow}), {At({0, kMemRow}, 4)}, kElement);
    d.Connect("fed", At({0, kMemRow}, 4), {At({0, 2})}, kElement);
    d.links.push_back({{{"in", 0}}, {"fed"}, {}});
    d.Connect("out", At({0, 2}), {At({0, kShimRow})}, 4);
    CoreDesign& core = d.cores.emplace_back();
    core.tile = {0, 2};
    core.program = {Acquire("fed"), Acquire("out"), Release("fed"),
                    Release("out")};
    d.Transfer("in", "in", kElements[k] * kElement);
    d.Transfer("out", "out", 4 * kElements[k]);
    d.sequence.push_back(WaitFor({"out"}));
    cycles[k] = static_cast<double>(RunOnZeros(MakePlan(d), options).cycles);
  }
  return (kElements[1] - kElements[0]) * kElement / (cycles[1] - cycles[0]);
}

SimParameters AtDesktopClock(SimParameters p) {
  p.clock_ghz = 1.8;
  p.ddr_read_gbps = 27;
  p.ddr_write_gbps = 27;
  return p;
}

double MemcpyMicroseconds(const SimParameters& p, int64_t bytes) {
  constexpr int64_t kElement = 16384;
  SimOptions options;
  options.parameters = p;
  // Two short runs give the slope; all of it would move 64 MiB for nothing.
  double us[2] = {};
  constexpr int64_t kBytes[2] = {2 << 20, 6 << 20};
  for (const int k : {0, 1}) {
    Design d;
    d.name = "memcpy";
    d.host_buffers = {{"in", kBytes[k], false}, {"out", kBytes[k], true}};
    const int64_t part = kBytes[k] / kColumns;
    for (int i = 0; i < kColumns; ++i) {
      const std::string in = fmt::format("in{}", i);
      const std::string out = fmt::format("out{}", i);
      d.Connect(in, At({i, kShimRow}), {At({i, kMemRow})}, kElement);
      d.Connect(out, At({i, kMemRow}), {At({i, kShimRow})}, kElement);
      d.links.push_back({{{in, 0}}, {out}, {}});
      d.Transfer(in, "in", part, i * part);
      d.Transfer(out, "out", part, i * part);
    }
    d.sequence.push_back(WaitFor({"out0", "out1", "out2", "out3"}));
    us[k] = 1000 * RunOnZeros(MakePlan(d), options).milliseconds();
  }
  return us[0] + (us[1] - us[0]) * static_cast<double>(bytes - kBytes[0]) /
                     static_cast<double>(kBytes[1] - kBytes[0]);
}

GemmRun RunGemm(const PublishedGemm& gemm, const SimParameters& p) {
  timed_loops = LoopsOf(LoopsFor(gemm));
  SimOptions options;
  options.parameters = p;
  options.find_kernel = FindGemm;
  const SimReport report =
      RunOnZeros(MakePlan(GemmDesign(gemm), FindGemm), options);
  const double macs = static_cast<double>(gemm.pm) *
                      static_cast<double>(gemm.pk) *
                      static_cast<double>(gemm.pn);
  GemmRun run;
  // Published times are of the array's work; the launch is shown elsewhere.
  run.ms = p.MillisecondsOf(report.cycles);
  run.tops = 2 * macs / run.ms / 1e9;
  run.core_macs = static_cast<double>(gemm.m * gemm.k * gemm.n) /
                  static_cast<double>(CyclesOf(kGemmKernel, {}, p.core));
  return run;
}

}  // namespace sotto::npu
