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
#include "npu/encoder/host_run.h"
#include "tensor/half.h"

namespace sotto::npu {
namespace {

constexpr auto kBF16 = EncoderPrecision::kBF16;
constexpr auto kInt8 = EncoderPrecision::kInt8;

// Random weights of the sizes that a trained model has.
class RandomEncoder {
 public:
  RandomEncoder(const EncoderShape& shape, EncoderPrecision precision,
                unsigned seed)
      : rng_(seed) {
    e.shape = shape;
    e.precision = precision;
    const int d = shape.width_tiles();
    e.stem1 = Matrix(3 * d, shape.stem_tiles());
    e.stem2 = Matrix(d, 3 * d);
    e.positions =
        sotto::Buffer(static_cast<size_t>(shape.rows()) * shape.width * 2);
    Halves(&e.positions, 0.1F);
    for (int i = 0; i < shape.layers; ++i) {
      PackedLayer& layer = e.layers.emplace_back();
      layer.ln1 = Norm(d);
      layer.ln2 = Norm(d);
      layer.qkv = Matrix(3 * d, d);
      layer.out = Matrix(d, d);
      layer.fc1 = Matrix(shape.ffn_tiles(), d);
      layer.fc2 = Matrix(d, shape.ffn_tiles());
      for (int h = 0; h < shape.heads; ++h)
        layer.shifts.push_back(static_cast<int>(rng_() % 3) + 8);
    }
    e.last = Norm(d);
  }
  PackedEncoder e;

 private:
  float Normal(float scale) {
    return std::normal_distribution<float>(0, scale)(rng_);
  }
  void Halves(sotto::Buffer* out, float scale) {
    for (size_t i = 0; i < out->size() / 2; ++i)
      out->As<BF16>()[i] = ToBF16(Normal(scale));
  }
  PackedMatrix Matrix(int n_tiles, int k_tiles) {
    PackedMatrix m;
    m.precision = e.precision;
    m.n_tiles = n_tiles;
    m.k_tiles = k_tiles;
    m.tiles =
        sotto::Buffer(static_cast<size_t>(n_tiles * k_tiles) * m.tile_bytes());
    const auto k = static_cast<float>(k_tiles * kTile);
    const bool int8 = e.precision == kInt8;
    if (int8) {
      for (size_t i = 0; i < m.tiles.size(); ++i)
        m.tiles.data()[i] =
            static_cast<std::byte>(static_cast<int>(rng_() % 255) - 127);
    } else {
      Halves(&m.tiles, 1 / std::sqrt(k));
    }
    for (int n = 0; n < n_tiles; ++n)
      for (int row = 0; row < 3; ++row)
        for (int i = 0; i < kTile; ++i)
          m.params.push_back(row == 1   ? Normal(0.1F)
                             : !int8    ? 1.0F
                             : row == 0 ? std::abs(1 + Normal(0.1F)) /
                                              (73 * 40 * std::sqrt(k))
                                        : 30.0F);
    return m;
  }
  PackedNorm Norm(int tiles) {
    const float scale = e.precision == kInt8 ? 30 : 1;
    PackedNorm norm;
    for (int t = 0; t < tiles; ++t)
      for (int i = 0; i < 2 * kTile; ++i)
        norm.push_back(scale * (i < kTile ? 1 + Normal(0.1F) : Normal(0.1F)));
    return norm;
  }
  std::mt19937 rng_;
};

std::vector<float> RandomMel(const EncoderShape& s, unsigned seed) {
  std::mt19937 rng(seed);
  std::uniform_real_distribution<float> value(-0.8F, 1.2F);
  std::vector<float> mel(static_cast<size_t>(s.n_mels) * s.frames);
  for (float& x : mel) x = value(rng);
  return mel;
}

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

std::vector<float> OnHost(const PackedEncoder& encoder,
                          const std::vector<float>& mel) {
  ThreadPool pool(1);
  sotto::Buffer work(HostRunBytes(encoder));
  std::vector<float> audio(static_cast<size_t>(encoder.shape.positions()) *
                           encoder.shape.width);
  RunOnHost(encoder, mel.data(), audio.data(), work.data(), pool);
  return audio;
}

void ExpectSameBits(const std::vector<float>& got,
                    const std::vector<float>& want, int width) {
  ASSERT_EQ(got.size(), want.size());
  size_t differ = 0;
  double largest = 0;
  size_t first = got.size();
  for (size_t i = 0; i < got.size(); ++i) {
    largest = std::max(largest, std::abs(static_cast<double>(want[i])));
    if (std::memcmp(&got[i], &want[i], 4) == 0) continue;
    ++differ;
    first = std::min(first, i);
  }
  EXPECT_GT(largest, 0.1);
  EXPECT_TRUE(std::isfinite(largest));
  if (differ > 0)
    ADD_FAILURE() << differ << " of " << got.size() << " differ, first row "
                  << first / static_cast<size_t>(width) << " column "
                  << first % static_cast<size_t>(width) << ": " << got[first]
                  << " for " << want[first];
}

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

TEST_P(EncoderDesign, L9TwiceTheHostsBits) {
  const RandomEncoder random(kTiny, GetParam(), 1);
  Machine machine(random.e, {});
  for (unsigned seed : {1U, 2U}) {
    const auto mel = RandomMel(kTiny, seed);
    ExpectSameBits(machine.Run(mel), OnHost(random.e, mel), kTiny.width);
  }
}

TEST_P(EncoderDesign, OddShapes) {
  // One tile of rows; one valid key in the last tile; heads that leave columns
  // without work; widths that are no whole blocks; rows longer than L2.
  for (const EncoderShape& shape : {EncoderShape{8, 60, 128, 2, 192, 1},
                                    EncoderShape{80, 130, 128, 2, 64, 1},
                                    EncoderShape{8, 300, 128, 2, 5120, 1},
                                    EncoderShape{12, 770, 384, 6, 448, 1}}) {
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
