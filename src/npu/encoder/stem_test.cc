// SPDX-License-Identifier: MIT
// The stem and each layer by themselves, against doubles, on weights and
// log-mels that are like a trained model's: what a wrong step, zero point or
// shift does to one stage is not lost in what the others make of it.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <span>

#include "npu/encoder/encoder_reference.h"
#include "npu/encoder/host_run.h"
#include "npu/encoder/pack.h"
#include "npu/encoder/random_encoder.h"
#include "tensor/half.h"

namespace sotto::npu {
namespace {

constexpr EncoderShape kShape{.n_mels = 80,
                              .frames = 300,
                              .width = 128,
                              .heads = 2,
                              .ffn = 512,
                              .layers = 2};

// As trained weights are and independent ones are not: a row's weights have a
// mean (base's second convolution: the sum over that of magnitudes is between
// -0.7 and 0.5), so what all inputs share, such as codes' zeros, adds up
// instead of cancelling; channels differ in size, and some stay where GELU is
// least.
class TrainedWeights : public RandomWeights {
 public:
  TrainedWeights(const EncoderShape& s, unsigned seed)
      : RandomWeights(s, seed), random_(seed + 1) {
    Lean("enc.conv1", s.width, 0.01, 0.05, -0.3, 0.8);
    auto& w = Of("enc.conv1.w");
    const size_t row = w.size() / static_cast<size_t>(s.width);
    for (size_t o = 0; o < static_cast<size_t>(s.width); ++o) {
      const bool least = o % 4 == 0;
      if (least) Of("enc.conv1.b")[o] = -0.75F;
      const double gain = least ? 0.2 : std::exp(Normal(0, 0.5));
      for (size_t i = o * row; i < (o + 1) * row; ++i)
        w[i] *= static_cast<float>(gain);
      // int8 holds them exactly: what is left is of codes and zeros.
      const auto all = std::span(w).subspan(o * row, row);
      float largest = 0;
      for (const float v : all) largest = std::max(largest, std::abs(v));
      for (float& v : all)
        v = std::nearbyint(v / largest * 127) * largest / 127;
    }
    Lean("enc.conv2", s.width, -0.12, 0.15, 0, 1);
    for (int i = 0; i < s.layers; ++i) {
      const std::string n = "enc." + std::to_string(i);
      for (const char* m : {".attn.q", ".attn.k", ".attn.v", ".attn.o"})
        Lean(n + m, s.width, 0, 0.15, 0, 0.2);
      Lean(n + ".fc1", s.ffn, 0, 0.1, -0.3, 0.3);
      Lean(n + ".fc2", s.width, 0, 0.3, 0, 0.3);
    }
  }

 private:
  double Normal(double mean, double sd) {
    return std::normal_distribution<double>(mean, sd)(random_);
  }
  // Adds a mean to each row, in its own standard deviations.
  void Lean(const std::string& name, int rows, double mean, double sd,
            double bias, double bias_sd) {
    auto& w = Of(name + ".w");
    const size_t row = w.size() / static_cast<size_t>(rows);
    for (size_t at = 0; at < w.size(); at += row) {
      double square = 0;
      for (size_t i = at; i < at + row; ++i) square += double{w[i]} * w[i];
      const double lean = std::clamp(Normal(mean, sd), -1.0, 1.0) *
                          std::sqrt(square / static_cast<double>(row));
      for (size_t i = at; i < at + row; ++i) w[i] += static_cast<float>(lean);
    }
    for (float& b : Of(name + ".b"))
      b = static_cast<float>(Normal(bias, bias_sd));
  }
  std::mt19937 random_;
};

// A log-mel as OpenAI's audio.py makes them: a floor 2 below the loudest value
// `top` (1.5 where a full scale sounds), sounds as hills over time and bands,
// and zeros after the end.
std::vector<float> LogMel(const EncoderShape& s, float top, unsigned seed) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> any(0, 1);
  std::normal_distribution<float> noise(0, 0.1F);
  std::vector<float> mel(static_cast<size_t>(s.n_mels) * s.frames);
  const auto last = 0.9F * static_cast<float>(s.frames);
  for (int hill = 0; hill < s.frames / 8; ++hill) {
    const float height = hill == 0 ? 2 : 2 * any(random);
    const float t0 = any(random) * last;
    const float c0 = any(random) * static_cast<float>(s.n_mels);
    const float length = 4 + 16 * any(random), width = 1 + 8 * any(random);
    for (size_t i = 0; i < mel.size(); ++i) {
      const float dt = (static_cast<float>(i % s.frames) - t0) / length;
      const float dc = (static_cast<float>(i / s.frames) - c0) / width;
      mel[i] = std::max(mel[i], height * std::exp(-dt * dt - dc * dc));
    }
  }
  for (size_t i = 0; i < mel.size(); ++i)
    mel[i] = static_cast<float>(i % s.frames) > last
                 ? 0
                 : top - 2 + std::clamp(mel[i] + noise(random), 0.0F, 2.0F);
  return mel;
}

// Of a stage's result, relative to what it should add to its input.
struct Difference {
  double all = 0;      // root of the mean square
  double channel = 0;  // the same of the worst channel
  double mean = 0;     // of a channel over all rows, the worst: no noise
};

Difference Compare(const Rows& want, const std::vector<float>& got,
                   const Rows* input) {
  const size_t rows = want.size(), channels = want[0].size();
  double size = 0, all = 0;
  Difference out;
  for (size_t c = 0; c < channels; ++c) {
    double square = 0, sum = 0;
    for (size_t t = 0; t < rows; ++t) {
      const double added = want[t][c] - (input == nullptr ? 0 : (*input)[t][c]);
      const double error = got[t * channels + c] - want[t][c];
      size += added * added;
      square += error * error;
      sum += error;
    }
    all += square;
    out.channel =
        std::max(out.channel, std::sqrt(square / static_cast<double>(rows)));
    out.mean = std::max(out.mean, std::abs(sum) / static_cast<double>(rows));
  }
  const double unit = std::sqrt(size / static_cast<double>(rows * channels));
  out.all = std::sqrt(all / size);
  out.channel /= unit;
  out.mean /= unit;
  return out;
}

constexpr float kLoudest = 1.3F;  // of those calibrated on

// What the calibration saw, weights rounded by it.
Calibration Calibrate(const EncoderShape& shape, const TrainedWeights& weights,
                      Reference* reference) {
  for (unsigned i = 0; i < 4; ++i)
    reference->Run(
        LogMel(shape, kLoudest - 0.3F * static_cast<float>(i), 50 + i));
  Calibration seen = reference->seen();
  ThreadPool pool(1);
  FindRoundings(
      shape, weights, reference->moments(), pool, [](int, int) {}, &seen);
  return seen;
}

// A stage's input, as the residual stream holds it (the stem's: empty), and
// what should come of it.
struct Stage {
  Rows input, want;
};

std::vector<Stage> StagesOf(const EncoderShape& shape, Reference* reference,
                            const std::vector<float>& mel) {
  std::vector<Stage> stages(1);
  stages[0].want = reference->Stem(mel);
  for (int i = 0; i < shape.layers; ++i) {
    Stage stage{stages.back().want, {}};
    for (auto& row : stage.input)
      for (double& v : row) v = ToFloat(ToBF16(static_cast<float>(v)));
    stage.want = stage.input;
    reference->Layer(i, &stage.want);
    stages.push_back(std::move(stage));
  }
  return stages;
}

// Stage 0 is the stem.
Difference RunStage(const PackedEncoder& packed, const Stage& stage, int index,
                    const std::vector<float>& mel) {
  ThreadPool pool(1);
  sotto::Buffer work(HostRunBytes(packed));
  std::vector<float> got(static_cast<size_t>(packed.shape.positions()) *
                         packed.shape.width);
  if (index == 0) {
    RunStemOnHost(packed, mel.data(), got.data(), work.data(), pool);
    return Compare(stage.want, got, nullptr);
  }
  const std::vector<float> input = Flat(stage.input);
  RunLayerOnHost(packed, index - 1, input.data(), got.data(), work.data(),
                 pool);
  return Compare(stage.want, got, &stage.input);
}

// A quarter above the worst of three models and their log-mels (measured). Of
// what should be found, the stem's worst mean is: a zero wrong by one code
// 0.016 to 0.02, GELU's codes counted from -0.16 0.028, sums that saturate 2
// and more; a layer's with LayerNorm's zeros wrong by one 0.07.
//
// A log-mel louder than what was calibrated on takes some channels further than
// codes reach: LayerNorm's int8, which have no room, and GELU's of channels
// that hardly spoke.
Difference BoundOf(bool int8, int stage, bool loud) {
  if (stage == 0)
    return int8 && loud ? Difference{0.058, 0.195, 0.047}
                        : Difference{0.0041, 0.0135, 0.0097};
  return int8 && loud ? Difference{0.046, 0.155, 0.155}
                      : Difference{0.0072, 0.0167, 0.0105};
}

void Expect(const Difference& got, const Difference& most,
            const std::string& what) {
  EXPECT_LT(got.all, most.all) << what;
  EXPECT_LT(got.channel, most.channel) << what;
  EXPECT_LT(got.mean, most.mean) << what;
}

TEST(NpuStem, StagesAgainstDoubles) {
  for (unsigned seed = 1; seed < 4; ++seed) {
    const TrainedWeights weights(kShape, seed);
    Reference reference(kShape, weights);
    const Calibration seen = Calibrate(kShape, weights, &reference);
    const PackedEncoder both[] = {
        Pack(kShape, EncoderPrecision::kBF16, weights, nullptr),
        Pack(kShape, EncoderPrecision::kInt8, weights, &seen)};
    for (const float top : {0.5F, 1.0F, kLoudest + 0.2F}) {
      const auto mel = LogMel(kShape, top, 60 + seed);
      const auto stages = StagesOf(kShape, &reference, mel);
      const Rows audio = reference.Last(stages.back().want);
      for (const PackedEncoder& packed : both) {
        const bool int8 = packed.precision == EncoderPrecision::kInt8;
        const auto where = [&](size_t stage) {
          return fmt::format("model {} {} top {} stage {}", seed,
                             int8 ? "int8" : "bf16", top, stage);
        };
        for (size_t i = 0; i < stages.size(); ++i)
          Expect(RunStage(packed, stages[i], static_cast<int>(i), mel),
                 BoundOf(int8, static_cast<int>(i), top > kLoudest), where(i));
        EXPECT_GT(Cosine(audio, OnHost(packed, mel)), int8 ? 0.995 : 0.999)
            << where(stages.size());
      }
    }
  }
}

}  // namespace
}  // namespace sotto::npu
