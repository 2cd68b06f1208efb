// SPDX-License-Identifier: MIT
#include "npu/run/design_list.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include <cstring>

#include "acceptance_row.h"
#include "base/error.h"
#include "npu/design/planner.h"
#include "npu/kernels/kernel.h"
#include "npu/sim/array.h"

namespace sotto::npu {
namespace {

TEST(Designs, EachOfTheListIsPlanned) {
  for (const DesignInfo& info : Designs()) {
    SCOPED_TRACE(info.name);
    const Plan plan = MakePlan(MakeDesign(info.name));
    EXPECT_FALSE(plan.stream.ops.empty());
    EXPECT_EQ(Decode(Encode(plan.stream)), plan.stream);
  }
}

TEST(Designs, EveryKernelHasADesign) {
  for (const KernelInfo& kernel : Kernels()) {
    SCOPED_TRACE(kernel.name);
    const std::string name = "single/" + std::string(kernel.name);
    const Plan plan = MakePlan(MakeDesign(name));
    EXPECT_LE(plan.config.host_buffer_bytes.size(), size_t{kMaxHostBuffers});
  }
}

TEST(Designs, NamesNearAnotherAreTold) {
  try {
    MakeDesign("atention-16");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kNotFound);
    EXPECT_THAT(error.what(), testing::HasSubstr("did you mean"));
  }
}

// R9: the whole encoder is one stream on the configuration of one layer, with
// one wait at its end. Programs and addresses never change.
TEST(Designs, R9EncoderIsOneDispatchOnOneConfiguration) {
  const Plan layer = MakePlan(MakeDesign("layer"));
  const Plan plan = MakePlan(MakeDesign("encoder-bf16"));
  EXPECT_LE(plan.config.host_buffer_bytes.size(), size_t{kMaxHostBuffers});
  ASSERT_EQ(plan.config.tiles.size(), layer.config.tiles.size());
  for (const auto& [tile, config] : plan.config.tiles) {
    const TileConfig& other = layer.config.tiles.at(tile);
    EXPECT_EQ(config.program.size(), other.program.size());
    EXPECT_EQ(config.descriptors.size(), other.descriptors.size());
    EXPECT_EQ(config.connections.size(), other.connections.size());
    for (size_t i = 0; i < config.buffers.size(); ++i) {
      EXPECT_EQ(config.buffers[i].address, other.buffers[i].address);
    }
  }
  // As many weights as base has in its encoder, stem and positions included.
  EXPECT_GT(plan.config.host_buffer_bytes[1], 2 * 18'874'368);
}

// What a design wants in the host's buffers is there when it is tried: without
// its control words the layer's cores would wait for ever.
TEST(Designs, LayerRunsOnTrialBuffers) {
  const Design design = MakeDesign("layer");
  const Plan plan = MakePlan(design);
  auto buffers = TrialBuffers(design, 7);
  ASSERT_EQ(buffers.size(), design.host_buffers.size());
  std::vector<std::span<std::byte>> spans(buffers.begin(), buffers.end());
  for (size_t i = 0; i < buffers.size(); ++i) {
    const HostBufferDesign& b = design.host_buffers[i];
    ASSERT_EQ(static_cast<int64_t>(buffers[i].size()), b.bytes);
    EXPECT_TRUE(std::equal(
        b.initial.begin(), b.initial.end(), buffers[i].begin(),
        [](uint8_t want, std::byte is) { return std::byte{want} == is; }));
  }
  SimOptions options;
  options.threads = 2;
  Array array(std::make_shared<const ArrayConfig>(plan.config), options);
  const SimRun run = array.Run(plan.stream, spans);
  EXPECT_EQ(run.state, RunState::kCompleted) << run.detail;
}

// How far a long run is, and that its caller can stop it.
TEST(Designs, TellsHowFarALayerIs) {
  const Design design = MakeDesign("layer");
  const Plan plan = MakePlan(design);
  auto buffers = TrialBuffers(design, 7);
  const std::vector<std::span<std::byte>> spans(buffers.begin(), buffers.end());
  int64_t last = 0;
  double share = 0;
  int calls = 0;
  SimOptions options;
  options.progress = [&](int64_t cycles, double done) {
    EXPECT_GE(cycles, last);
    EXPECT_GE(done, share);
    EXPECT_LE(done, 1);
    last = cycles;
    share = done;
    return ++calls < 4;
  };
  Array array(std::make_shared<const ArrayConfig>(plan.config), options);
  const SimRun run = array.Run(plan.stream, spans);
  EXPECT_EQ(run.state, RunState::kAbort);
  EXPECT_THAT(run.detail, testing::HasSubstr("stopped by the caller"));
  EXPECT_EQ(calls, 4);
  EXPECT_GT(share, 0);
}

// R1: the published stream of four columns.
TEST(Designs, R1FourColumnStreamHasThePublishedSum) {
  const Plan plan = MakePlan(MakeDesign("attention-4col-published"));
  const std::vector<uint32_t> words = Encode(plan.stream);
  EXPECT_EQ(plan.stream.ops.size(), 32u);
  EXPECT_EQ(words.size() * 4, 1152u);
  EXPECT_EQ(crc32(0, reinterpret_cast<const Bytef*>(words.data()),
                  static_cast<uInt>(4 * words.size())),
            0x0022500eu);
}

// K6: at most five buffers and one wait for all columns.
TEST(Designs, K6FourColumnsEndInOneWait) {
  const Plan plan = MakePlan(MakeDesign("attention-4col"));
  EXPECT_LE(plan.config.host_buffer_bytes.size(), 5u);
  int waits = 0;
  for (const TxnOp& op : plan.stream.ops) {
    if (op.kind == TxnOp::Kind::kWaitToken) ++waits;
  }
  EXPECT_EQ(waits, 1);
  EXPECT_EQ(plan.stream.ops.back().kind, TxnOp::Kind::kWaitToken);
  EXPECT_EQ(plan.stream.ops.back().columns, 4);
}

// N11: 1.5 MB in and out, 24 chunks of 32,768 elements; R7: the mem tile is
// full to the byte.
TEST(Designs, R7N11StreamHasThePublishedNumbers) {
  const Plan plan = MakePlan(MakeDesign("stream"));
  EXPECT_EQ(plan.config.host_buffer_bytes[0], 1536000);
  EXPECT_EQ(plan.config.host_buffer_bytes[1], 1536000);
  int64_t rows = 0;
  for (const PlannedTask& task : plan.tasks) {
    if (task.direction == Direction::kMM2S) rows += task.chain[0].words;
  }
  EXPECT_EQ(rows * 2, 24 * 32768);
  int64_t used = 0;
  for (const PlacedBuffer& b : plan.config.tiles.at({0, 1}).buffers) {
    EXPECT_EQ(b.bytes, 64 * 1024);
    used += b.bytes;
  }
  EXPECT_EQ(used, 512 * 1024);
  ReportRow("N11",
            fmt::format("{} bytes in and out, {} elements in 24 chunks",
                        plan.config.host_buffer_bytes[0], rows * 2),
            RowTag::kMeasured);
}

// T9: a core never ends.
TEST(Designs, ProgramsAreEndless) {
  for (const DesignInfo& info : Designs()) {
    const Plan plan = MakePlan(MakeDesign(info.name));
    for (const auto& [tile, config] : plan.config.tiles) {
      if (config.program.empty()) continue;
      EXPECT_EQ(config.program.front().value, CoreOp::kForever) << info.name;
    }
  }
}

}  // namespace
}  // namespace sotto::npu
