// SPDX-License-Identifier: MIT
// The encoder's design on the simulated array, bit for bit what RunOnHost
// gives.
#include "npu/sim/array.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <cstring>
#include <random>

#include "acceptance_row.h"
#include "base/error.h"
#include "npu/design/planner.h"
#include "npu/encoder/array_design.h"
#include "npu/encoder/array_pack.h"
#include "npu/encoder/array_runner.h"
#include "npu/encoder/random_encoder.h"

namespace sotto::npu {
namespace {

constexpr auto kBF16 = EncoderPrecision::kBF16;
constexpr auto kInt8 = EncoderPrecision::kInt8;

// One array, kept from run to run as a context is.
class Machine {
 public:
  Machine(const PackedEncoder& encoder, SimOptions options)
      : layout_(MakeArrayLayout(encoder.shape, encoder.precision)),
        plan_(MakePlan(MakeEncoderDesign(layout_))),
        array_(std::make_shared<const ArrayConfig>(plan_.config),
               std::move(options)),
        weights_(PackArrayWeights(layout_, encoder)) {
    for (int i : {0, 2, 3})
      buffers_[i].resize(static_cast<size_t>(layout_.bytes[i]));
  }
  std::vector<float> Run(const std::vector<float>& mel) {
    MakeArrayInput(layout_, mel.data(), buffers_[0].data());
    std::vector<std::span<std::byte>> spans = {
        buffers_[0],
        {weights_.data(), weights_.size()},
        buffers_[2],
        buffers_[3]};
    const auto from = std::chrono::steady_clock::now();
    last = array_.Run(plan_.stream, spans);
    seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - from)
            .count();
    EXPECT_EQ(last.state, RunState::kCompleted) << last.detail;
    std::vector<float> audio(static_cast<size_t>(layout_.shape.positions()) *
                             layout_.shape.width);
    ReadArrayOutput(layout_, buffers_[3].data(), audio.data());
    return audio;
  }
  const Plan& plan() const { return plan_; }
  SimRun last;
  double seconds = 0;

 private:
  ArrayLayout layout_;
  Plan plan_;
  Array array_;
  sotto::Buffer weights_;
  std::vector<std::byte> buffers_[4];
};

const EncoderShape kTiny{.n_mels = 16,
                         .frames = 180,
                         .width = 256,
                         .heads = 4,
                         .ffn = 512,
                         .layers = 2};

class EncoderDesign : public testing::TestWithParam<EncoderPrecision> {};

// All of Whisper's sizes, and one window of each moves to its end.
TEST_P(EncoderDesign, FitsTheArray) {
  for (const EncoderShape& shape :
       {EncoderShape{80, 3000, 384, 6, 1536, 1}, EncoderShape{},
        EncoderShape{80, 3000, 768, 12, 3072, 1},
        EncoderShape{80, 3000, 1024, 16, 4096, 1},
        EncoderShape{128, 3000, 1280, 20, 5120, 1}}) {
    const Plan plan = MakePlan(MakeEncoderDesign(shape, GetParam()));
    EXPECT_THAT(UsageReport(plan), testing::HasSubstr("cores 16/16"));
    if (shape.layers > 1) continue;
    EXPECT_GT(TimeEncoder(shape, GetParam()).cycles, 0);
  }
}

// One program for all phases fits every core; shapes that the streams cannot
// move are refused by name.
TEST_P(EncoderDesign, ProgramsFitAndLargerShapesAreRefused) {
  const Plan plan = MakePlan(MakeEncoderDesign(EncoderShape{}, GetParam()));
  int cores = 0;
  for (const auto& [tile, config] : plan.config.tiles) {
    if (config.program.empty()) continue;
    ++cores;
    EXPECT_LE(config.program_bytes, 16 * 1024) << tile.ToString();
  }
  EXPECT_EQ(cores, 16);
  const auto error_of = [](const EncoderShape& shape) -> std::string {
    try {
      MakeArrayLayout(shape, GetParam());
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kUnsupported);
      return error.what();
    }
    return "no error";
  };
  EXPECT_EQ(error_of({.frames = 2 * 64 * 64}), "no error");
  EXPECT_THAT(error_of({.frames = 2 * 64 * 64 + 2}),
              testing::HasSubstr("65 tiles of rows, want at most 64"));
  EXPECT_EQ(error_of({.width = 24 * 64, .heads = 24}), "no error");
  EXPECT_THAT(error_of({.width = 25 * 64, .heads = 25}),
              testing::HasSubstr("a width of 1600, want at most 1536"));
}

TEST_P(EncoderDesign, L9TwiceTheHostsBits) {
  const RandomEncoder random(kTiny, GetParam(), 1);
  Machine machine(random.e, {});
  for (unsigned seed : {1U, 2U}) {
    const auto mel = RandomMel(kTiny, seed);
    ExpectSameBits(machine.Run(mel), OnHost(random.e, mel), kTiny.width);
  }
}

TEST_P(EncoderDesign, L8OneLayerOfOddShapes) {
  // One tile of rows; one valid key in the last tile; heads that leave columns
  // without work; widths that are no whole blocks; rows longer than L2; three
  // blocks of rows.
  for (const EncoderShape& shape : {EncoderShape{8, 60, 128, 2, 192, 1},
                                    EncoderShape{80, 130, 128, 2, 64, 1},
                                    EncoderShape{8, 300, 128, 2, 5120, 1},
                                    EncoderShape{12, 770, 384, 6, 448, 1},
                                    EncoderShape{8, 140, 768, 12, 128, 1},
                                    EncoderShape{8, 140, 64, 1, 128, 1},
                                    EncoderShape{8, 140, 320, 5, 128, 1},
                                    EncoderShape{8, 1100, 128, 2, 128, 1}}) {
    const RandomEncoder random(shape, GetParam(), 3);
    Machine machine(random.e, {});
    const auto mel = RandomMel(shape, 4);
    ExpectSameBits(machine.Run(mel), OnHost(random.e, mel), shape.width);
  }
}

// R9: one submission a window. R10: without overlap the same bits, later.
TEST_P(EncoderDesign, R9R10RunnerSubmitsOnceAndOverlapIsOnlyTime) {
  const RandomEncoder random(kTiny, GetParam(), 5);
  ThreadPool pool(1);
  const auto mel = RandomMel(kTiny, 6);
  const auto want = OnHost(random.e, mel);
  int64_t cycles[2] = {};
  for (const bool overlap : {true, false}) {
    int runs = 0;
    SimOptions options;
    options.overlap = overlap;
    const auto runner = MakeArrayRunner(options, [&](const SimReport& report) {
      ++runs;
      cycles[overlap] = report.cycles;
    });
    EXPECT_EQ(runner->name(), "npu1 array simulator");
    std::vector<float> audio(want.size());
    runner->Run(random.e, mel.data(), audio.data(), nullptr, pool);
    EXPECT_EQ(runs, 1);
    ExpectSameBits(audio, want, kTiny.width);
  }
  EXPECT_GT(cycles[false], cycles[true]);
}

// Weights of another model replace those on the device.
TEST_P(EncoderDesign, RunnerTakesModelsInTurn) {
  const EncoderShape shape{8, 60, 128, 2, 64, 1};
  const RandomEncoder first(shape, GetParam(), 7);
  const RandomEncoder second(shape, GetParam(), 8);
  const auto runner = MakeArrayRunner();
  ThreadPool pool(1);
  const auto mel = RandomMel(shape, 9);
  for (const RandomEncoder* model : {&first, &second, &first}) {
    std::vector<float> audio(static_cast<size_t>(shape.positions()) *
                             shape.width);
    runner->Run(model->e, mel.data(), audio.data(), nullptr, pool);
    ExpectSameBits(audio, OnHost(model->e, mel), shape.width);
  }
}

void ReportBase(const char* type, const SimReport& report,
                const SimReport& without, double wanted_ms) {
  ReportRow("R8",
            fmt::format("{}: {} of 16 cores, imbalance {:.1f} %", type,
                        report.cores.size(), 100 * report.Imbalance()),
            RowTag::kModelled);
  const double ms = report.milliseconds();
  ReportRow("R9",
            fmt::format("{}: one submission, launch {:.2f} % of the whole",
                        type, 100 * report.parameters.launch_ms / ms),
            RowTag::kModelled);
  const double compute =
      report.Utilisation() * static_cast<double>(report.cycles);
  const double hidden = static_cast<double>(without.cycles - report.cycles) /
                        (static_cast<double>(without.cycles) - compute);
  ReportRow("R10",
            fmt::format("{}: {:.1f} % of what is not arithmetic hidden, want "
                        "90",
                        type, 100 * hidden),
            RowTag::kModelled, hidden >= 0.9);
  EXPECT_GE(hidden, 0.9);
  EncoderShape one;
  one.layers = 1;
  const double layer =
      (ms - TimeEncoder(one, type == std::string_view("int8") ? kInt8 : kBF16)
                .milliseconds()) /
      5;
  ReportRow("N7",
            fmt::format("{}: {:.1f} ms a layer, want 7.5; encoder {:.1f} ms, "
                        "want {:.0f}; at 1.0 GHz",
                        type, layer, ms, wanted_ms),
            RowTag::kModelled, ms <= wanted_ms && layer <= 7.5);
}

// Whisper base on the model of the hardware: limits that a change must not
// break. docs/npu-encoder.md has the figures and what they are made of.
TEST_P(EncoderDesign, R8R9R10N7Base) {
  const bool int8 = GetParam() == kInt8;
  const SimReport report = TimeEncoder({}, GetParam());
  RecordProperty("modelled_ms", std::to_string(report.milliseconds()));
  EXPECT_EQ(report.cores.size(), 16u);  // R8
  EXPECT_LE(report.Imbalance(), 0.10);  // R8
  EXPECT_GE(report.Utilisation(), 0.70);
  EXPECT_LE(report.parameters.launch_ms,  // R9
            0.005 * report.milliseconds());
  EXPECT_LE(report.milliseconds(), int8 ? 70 : 98);
  SimOptions serial;
  serial.overlap = false;
  const SimReport without = TimeEncoder({}, GetParam(), serial);
  EXPECT_GT(without.cycles, report.cycles);  // R10
  ReportBase(int8 ? "int8" : "bf16", report, without, int8 ? 28 : 45);
}

// K7: heads in parallel over the columns keep the cores busy.
TEST_P(EncoderDesign, K7AttentionUsesTheCores) {
  const ArrayLayout layout = MakeArrayLayout({}, GetParam());
  for (size_t i = 0; i < layout.phases.size(); ++i) {
    if (layout.phases[i].kind != Phase::Kind::kAttention) continue;
    const SimReport report = TimeEncoder({}, GetParam(), {}, i, i);
    EXPECT_GE(report.Utilisation(), 0.70);
    EXPECT_LE(report.Imbalance(), 0.10);
    ReportRow("K7",
              fmt::format("{}: attention uses {:.0f} % of the cores",
                          GetParam() == kInt8 ? "int8" : "bf16",
                          100 * report.Utilisation()),
              RowTag::kModelled);
    break;
  }
}

// Prints the tables of docs/npu-encoder.md: --gtest_also_run_disabled_tests.
TEST_P(EncoderDesign, DISABLED_Times) {
  std::cout << EncoderTimes({}, GetParam());
}

INSTANTIATE_TEST_SUITE_P(Precision, EncoderDesign,
                         testing::Values(kBF16, kInt8), [](const auto& of) {
                           return of.param == kInt8 ? "Int8" : "Bf16";
                         });

}  // namespace
}  // namespace sotto::npu
