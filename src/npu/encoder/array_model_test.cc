// SPDX-License-Identifier: MIT
// Real models on real speech: the simulated array gives the host's bits, so
// what is shown for the fast path holds for the array.
#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <cstring>

#include "audio/decode.h"
#include "audio/log_mel.h"
#include "base/error.h"
#include "model/test_folder.h"
#include "model/weights.h"
#include "npu/encoder/array_runner.h"
#include "npu/encoder/host_run.h"

namespace sotto::npu {
namespace {

class StoredWeights final : public WeightReader {
 public:
  explicit StoredWeights(const WeightStore& store) : store_(store) {}
  void Read(std::string_view name, int64_t first, int64_t count,
            float* out) const override {
    store_.Read(name, first, count, out);
  }
  void Release(std::string_view name) const override { store_.Release(name); }

 private:
  const WeightStore& store_;
};

// The first 30 s of JFK's speech, as the encoder takes them.
std::vector<float> SpeechMel(const EncoderShape& shape) {
  LogMelStream stream(shape.n_mels);
  std::vector<float> frames;
  stream.Push(ReadAudio(TestData("jfk/jfk.wav")), frames);
  stream.Finish(frames);
  std::vector<float> mel(static_cast<size_t>(shape.n_mels) * shape.frames);
  for (int f = 0; f < shape.frames; ++f)
    for (int c = 0; c < shape.n_mels; ++c) {
      const size_t at = static_cast<size_t>(f) * shape.n_mels + c;
      mel[static_cast<size_t>(c) * shape.frames + f] = NormalizeLogMel(
          at < frames.size() ? frames[at] : -10.0F, stream.maximum());
    }
  return mel;
}

// Of the first n values.
double Cosine(const std::vector<float>& a, const std::vector<float>& b,
              size_t n) {
  double ab = 0;
  double aa = 0;
  double bb = 0;
  for (size_t i = 0; i < n; ++i) {
    ab += double{a[i]} * b[i];
    aa += double{a[i]} * a[i];
    bb += double{b[i]} * b[i];
  }
  return ab / std::sqrt(aa * bb);
}

void CheckModel(const std::string& name) {
  const auto folder = TestModel(name);
  if (!std::filesystem::exists(folder / "model.bin"))
    GTEST_SKIP() << "no model " << folder;
  if (!std::filesystem::exists(TestData("jfk/jfk.wav")))
    GTEST_SKIP() << "SOTTO_TEST_DATA has no jfk/jfk.wav";
  const auto store = WeightStore::Load(folder);
  const EncoderShape shape = EncoderShapeOf(store->spec());
  const auto mel = SpeechMel(shape);
  std::vector<float> bf16;
  for (const auto precision :
       {EncoderPrecision::kBF16, EncoderPrecision::kInt8}) {
    Calibration scales;
    if (precision == EncoderPrecision::kInt8) {
      // Missing, of another version or another model: told, and bf16 counts.
      try {
        scales = Calibration::Load(folder / kCalibrationFile);
        scales.Check(shape);
      } catch (const Error& error) {
        GTEST_SKIP() << "no int8 scales: " << error.what();
      }
    }
    const PackedEncoder encoder =
        Pack(shape, precision, StoredWeights(*store), &scales);
    ThreadPool pool(2);
    std::vector<float> want(static_cast<size_t>(shape.positions()) *
                            shape.width);
    sotto::Buffer work(HostRunBytes(encoder));
    RunOnHost(encoder, mel.data(), want.data(), work.data(), pool);
    SimOptions options;
    options.threads = 2;
    SimReport report;
    const auto runner =
        MakeArrayRunner(options, [&](const SimReport& r) { report = r; });
    std::vector<float> got(want.size());
    const auto from = std::chrono::steady_clock::now();
    runner->Run(encoder, mel.data(), got.data(), nullptr, pool);
    const std::chrono::duration<double> took =
        std::chrono::steady_clock::now() - from;
    EXPECT_EQ(std::memcmp(got.data(), want.data(), 4 * want.size()), 0);
    std::cout << name << ": " << report.milliseconds()
              << " ms (modelled), simulated in " << took.count() << " s\n";
    if (precision == EncoderPrecision::kBF16) {
      bf16 = got;
    } else {
      // The clip has 11 s; on the silence after it models are unsure.
      const double cosine =
          Cosine(got, bf16, static_cast<size_t>(550) * shape.width);
      std::cout << "cosine of int8 and bf16 " << cosine << "\n";
      EXPECT_GE(cosine, 0.95);
    }
  }
}

TEST(EncoderModel, TinyEnOnTheArray) { CheckModel("tiny.en"); }
TEST(EncoderModel, BaseOnTheArray) { CheckModel("base"); }

}  // namespace
}  // namespace sotto::npu
