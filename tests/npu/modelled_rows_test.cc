// SPDX-License-Identifier: MIT
// Rows whose figures the timing model gives: what each asks for, and whether it
// is met. Rows that are missed say so; what they reach must not get worse.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>

#include "acceptance_row.h"
#include "design_run.h"
#include "npu/design/designs.h"
#include "npu/encoder/array_layout.h"
#include "npu/encoder/array_runner.h"
#include "npu/run/design_list.h"
#include "npu/run/launch.h"
#include "npu/run/tiles.h"
#include "npu/sim/array.h"
#include "npu/sim/cost.h"
#include "npu/sim/device.h"
#include "npu/sim/validate.h"

namespace sotto::npu {
namespace {

constexpr auto kBF16 = EncoderPrecision::kBF16;
constexpr auto kInt8 = EncoderPrecision::kInt8;

const char* TypeName(EncoderPrecision precision) {
  return precision == kInt8 ? "int8" : "bf16";
}

int64_t Cycles(const char* kernel, std::initializer_list<int32_t> ints) {
  return CyclesOf(*FindKernel(kernel), std::span(ints.begin(), ints.size()),
                  {});
}

// The table of published measurements, without the whole array's products.
const ValidationRow& Published(const std::string& what) {
  static const auto rows = Validate({}, false);
  for (const ValidationRow& row : rows)
    if (row.what == what) return row;
  throw std::out_of_range(what);
}

int64_t ArrayCycles(const Design& design) {
  SimDevice device;
  LoadedDesign loaded(device, design);
  return loaded.Run(loaded.RandomInputs(3)).last.time.cycles;
}

TEST(NpuModelled, K3MapsHoldStackAndTables) {
  int64_t peak = 0;
  for (const char* form : {"", "whole_"}) {
    for (int version = 0; version < 4; ++version) {
      const std::string kernel =
          fmt::format("attention_64x64_{}v{}", form, version);
      const Plan plan = MakePlan(MakeDesign("single/" + kernel));
      const TileConfig& core = plan.config.tiles.at({0, 2});
      EXPECT_GE(core.stack_bytes, FindKernel(kernel)->frame_bytes) << kernel;
      int64_t used = core.stack_bytes;
      for (const PlacedBuffer& b : core.buffers) {
        used += b.bytes;
        EXPECT_LE(b.address + b.bytes, 64 * 1024);
      }
      EXPECT_LE(core.stack_address + core.stack_bytes, 64 * 1024);
      EXPECT_LT(used, 64 * 1024) << kernel;
      peak = std::max(peak, used);
    }
  }
  ReportRow(
      "K3",
      fmt::format("at most {} bytes of L1 with FIFOs, tables and stack", peak),
      RowTag::kModelled);
}

// R6: of each ring of the mem tile, from the timeline: an element comes in only
// when the one that many before it has gone, and goes only once it is there.
TEST(NpuModelled, R6RingsKeepTheirDepths) {
  const Plan plan = MakePlan(MakeDesign("stream"));
  SimOptions options;
  options.trace = true;
  Array array(std::make_shared<const ArrayConfig>(plan.config), options);
  std::vector<Bytes> buffers;
  std::vector<std::span<std::byte>> spans;
  for (const int64_t bytes : plan.config.host_buffer_bytes)
    buffers.push_back(RandomBytes(static_cast<size_t>(bytes), buffers.size()));
  for (Bytes& bytes : buffers) spans.emplace_back(bytes);
  const SimRun run = array.Run(plan.stream, spans);
  ASSERT_EQ(run.state, RunState::kCompleted) << run.detail;
  constexpr TileId kMem{0, 1};
  // First and last cycle of each chunk, which may move in several bursts.
  const auto chunks_of = [&](int lane) {
    std::vector<TraceSpan> bursts;
    for (const TraceSpan& span : array.trace())
      if (span.tile == kMem && span.lane == lane &&
          span.kind == TraceSpan::Kind::kTransfer)
        bursts.push_back(span);
    EXPECT_EQ(bursts.size() % 24, 0u);
    const size_t each = bursts.size() / 24;
    std::vector<TraceSpan> out;
    for (size_t i = 0; each > 0 && i + each <= bursts.size(); i += each) {
      out.push_back(bursts[i]);
      out.back().to = bursts[i + each - 1].to;
    }
    return out;
  };
  const auto flow = [&](std::string_view fifo) -> const Flow& {
    return *std::find_if(plan.flows.begin(), plan.flows.end(),
                         [&](const Flow& f) { return f.fifo == fifo; });
  };
  const int channels = LimitsOf(TileKind::kMem).dma_channels;
  const struct {
    const char* in;
    size_t sink;
    const char* out;
    size_t depth;
  } rings[] = {
      {"in", 0, "blocks", 2}, {"in", 1, "skip", 4}, {"sum", 0, "out", 2}};
  for (const auto& ring : rings) {
    SCOPED_TRACE(ring.out);
    const auto in = chunks_of(1 + flow(ring.in).sinks[ring.sink].channel);
    const auto out = chunks_of(1 + channels + flow(ring.out).source.channel);
    ASSERT_EQ(in.size(), 24u);
    ASSERT_EQ(out.size(), 24u);
    for (size_t i = 0; i < out.size(); ++i) {
      EXPECT_GE(out[i].from, in[i].to) << i;
      if (i + ring.depth < in.size()) {
        EXPECT_GE(in[i + ring.depth].from, out[i].to) << i;
      }
    }
  }
}

TEST(NpuModelled, K6FourColumnsAreFourTimesAsFast) {
  const auto four = static_cast<double>(
      ArrayCycles(MakeAttention("attention_64x64_v3", 4, 4, 3)));
  const auto one = static_cast<double>(
      ArrayCycles(MakeAttention("attention_64x64_v3", 1, 1, 3)));
  const double faster = 4 * one / four;
  EXPECT_GE(faster, 3.7);
  ReportRow("K6",
            fmt::format("{:.2f} times one column, launch included", faster),
            RowTag::kModelled);
}

TEST(NpuModelled, K13MatmulIsAtHalfThePeakOrMore) {
  const int64_t cycles = Cycles("matmul_bf16_64", {});
  EXPECT_LE(cycles, 4100);
  ReportRow(
      "K13",
      fmt::format("{} cycles, {:.0f} % of the peak", cycles,
                  100.0 * 64 * 64 * 64 / 128 / static_cast<double>(cycles)),
      RowTag::kModelled);
}

TEST(NpuModelled, K15ChainTakesWhatWasMeasured) {
  const ValidationRow& row = Published("chain LayerNorm, softmax, GELU, 1024");
  EXPECT_LE(std::abs(row.Error()), 0.25);
  ReportRow(
      "K15",
      fmt::format("{:.2f} ms, published {:.1f}", *row.predicted, row.published),
      RowTag::kModelled);
}

TEST(NpuModelled, N1TimeOfATile) {
  const ValidationRow& scalar = Published("attention 64x64 int8, v0");
  EXPECT_DOUBLE_EQ(scalar.published, 2.19);
  const bool within = *scalar.predicted >= 2.0 && *scalar.predicted <= 2.3;
  EXPECT_NEAR(*scalar.predicted, scalar.published, 0.3 * scalar.published);
  ReportRow("N1",
            fmt::format("published kernel {:.2f} ms, want 2.0 to 2.3",
                        *scalar.predicted),
            RowTag::kModelled, within);
  // Of an encoder's head: a row's start and end shared among its 24 tiles.
  for (const EncoderPrecision precision : {kInt8, kBF16}) {
    for (const TileChoice& choice : TileChoices(
             {.queries = 1500, .keys = 1500, .int8 = precision == kInt8})) {
      if (choice.tile != 64) continue;
      const double us = static_cast<double>(choice.cycles) /
                        static_cast<double>(choice.tiles) / 1000;
      EXPECT_LE(us, 10.5);
      ReportRow("N1",
                fmt::format("our tile {}: {:.1f} us at 1.0 GHz, want 10",
                            TypeName(precision), us),
                RowTag::kModelled, us <= 10);
    }
  }
}

TEST(NpuModelled, N3AttentionOfSixLayers) {
  const int64_t tiles = AttentionTiles(1500, 64, 8, 6);
  EXPECT_EQ(tiles, 27648);
  for (const EncoderPrecision precision : {kInt8, kBF16}) {
    const ArrayLayout layout = MakeArrayLayout({}, precision);
    int phases = 0;
    double each = 0;
    for (size_t i = 0; i < layout.phases.size(); ++i) {
      if (layout.phases[i].kind != Phase::Kind::kAttention) continue;
      // All have equal work.
      if (phases++ > 0) continue;
      const SimReport report = TimeEncoder({}, precision, {}, i, i);
      each = report.parameters.MillisecondsOf(report.cycles);
    }
    const double ms = phases * each;
    EXPECT_LE(ms, 22);
    ReportRow("N3",
              fmt::format("{} tiles, {} attention of six layers {:.1f} ms at "
                          "1.0 GHz, want 12",
                          tiles, TypeName(precision), ms),
              RowTag::kModelled, ms <= 12);
  }
}

TEST(NpuModelled, N6LaunchIsAParameter) {
  std::vector<double> published;
  for (const PublishedLaunch& launch : PublishedLaunches())
    published.push_back(launch.ms);
  EXPECT_DOUBLE_EQ(SimParameters().launch_ms, 0.1);
  const ValidationRow& row =
      Published("empty kernel, published Whisper attempt");
  EXPECT_LE(std::abs(row.Error()), 0.25);
  // One submission: it counts once, whatever it is.
  EncoderShape one;
  one.layers = 1;
  double array = -1;
  for (const double launch : published) {
    SimOptions options;
    options.parameters.launch_ms = launch;
    const SimReport report = TimeEncoder(one, kInt8, options);
    const double ms = report.milliseconds() - launch;
    if (array < 0) array = ms;
    EXPECT_NEAR(ms, array, 1e-9);
  }
  for (const EncoderPrecision precision : {kInt8, kBF16}) {
    const SimReport report = TimeEncoder({}, precision);
    const double ms = report.parameters.MillisecondsOf(report.cycles);
    ReportRow("N6",
              fmt::format("{} encoder {:.2f} to {:.2f} ms with a launch of "
                          "{} to {}; launched tile by tile {:.0f} to {:.0f}",
                          TypeName(precision), ms + published.front(),
                          ms + published.back(), published.front(),
                          published.back(), ms + 27648 * published.front(),
                          ms + 27648 * published.back()),
              RowTag::kModelled);
  }
}

// One attention operation as one core does it, tile by tile: flash attention of
// `tile` queries against as many keys.
Design AttentionTileDesign(int32_t tile) {
  constexpr TileId kCore{0, 2};
  const int64_t matrix = int64_t{tile} * 64 * 2;
  Design d;
  d.name = fmt::format("flash-{}", tile);
  d.host_buffers = {{"in", 3 * matrix, false}, {"out", matrix, true}};
  d.Connect("in", At({0, 0}), {At(kCore, 1)}, 3 * matrix);
  d.Connect("out", At(kCore, 1), {At({0, 0})}, matrix);
  d.buffers = {{"state", kCore, tile * 76 * 4, {}},
               {"p", kCore, tile * tile * 2, {}}};
  CoreDesign& core = d.cores.emplace_back();
  core.tile = kCore;
  core.program = {
      Acquire("in"),
      Acquire("out"),
      Call("flash_scores_bf16",
           {Element("in"), Element("in", 0, matrix), Memory("p"),
            Memory("state"), Constant(tile), Constant(tile), Constant(64),
            Constant(0), Constant(tile)}),
      Call("flash_values",
           {Memory("p"), Element("in", 0, 2 * matrix), Memory("state"),
            Constant(tile), Constant(tile), Constant(64), Constant(0)}),
      Call("flash_finish_bf16",
           {Memory("state"), Element("out"), Constant(tile), Constant(64)}),
      Release("in"),
      Release("out")};
  d.Transfer("in", "in", 3 * matrix);
  d.Transfer("out", "out", matrix);
  d.sequence.push_back(WaitFor({"out"}));
  return d;
}

TEST(NpuModelled, E6TheArrayRunsBothSizes) {
  for (const int32_t tile : {16, 64}) {
    const auto matrix = static_cast<size_t>(tile) * 128;
    Bytes in(3 * matrix);
    std::mt19937 random(5);
    std::normal_distribution<float> normal;
    for (size_t i = 0; i < in.size(); i += 2) {
      const uint32_t bits = std::bit_cast<uint32_t>(normal(random)) >> 16;
      in[i] = static_cast<std::byte>(bits & 255);
      in[i + 1] = static_cast<std::byte>(bits >> 8);
    }
    SimDevice device;
    LoadedDesign loaded(device, AttentionTileDesign(tile));
    std::vector<float> state(static_cast<size_t>(tile) * 76);
    Bytes p(static_cast<size_t>(tile) * tile * 2);
    Bytes want(matrix);
    const auto call = [](const char* name, std::vector<void*> pointers,
                         std::vector<int32_t> ints) {
      std::vector<std::byte*> bytes;
      for (void* pointer : pointers)
        bytes.push_back(static_cast<std::byte*>(pointer));
      FindKernel(name)->call({.pointers = bytes, .ints = ints});
    };
    call("flash_scores_bf16", {in.data(), &in[matrix], p.data(), state.data()},
         {tile, tile, 64, 0, tile});
    call("flash_values", {p.data(), &in[2 * matrix], state.data()},
         {tile, tile, 64, 0});
    call("flash_finish_bf16", {state.data(), want.data()}, {tile, 64});
    for (int repeat = 0; repeat < 2; ++repeat)
      EXPECT_EQ(loaded.Run({{"in", in}}).out.at("out"), want) << tile;
  }
}

}  // namespace
}  // namespace sotto::npu
