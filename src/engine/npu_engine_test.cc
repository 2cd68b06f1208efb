// SPDX-License-Identifier: MIT
// The engine with the NPU's encoder: what ran is what is reported, a device
// that fails is replaced, never a made-up result.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <random>

#include "audio/mel_source.h"
#include "base/error.h"
#include "base/file.h"
#include "base/test_folder.h"
#include "engine/calibrate.h"
#include "engine/engine.h"
#include "engine/test_sounds.h"
#include "engine/window_model.h"
#include "model/convert.h"
#include "npu/encoder/simulated_xrt.h"
#include "npu/host/xrt_device.h"
#include "tiny_model.h"

namespace sotto {
namespace {

using testing::HasSubstr;
using testing::Not;

void SetWindow(WindowModel& model, unsigned seed) {
  const std::vector<float> pcm = Noise(5, seed);
  MelSource(std::span<const float>(pcm), 80).Window(0, model.mel());
}

std::vector<float> Encoded(WindowModel& model, unsigned seed) {
  SetWindow(model, seed);
  model.Encode();
  const auto audio = model.audio();
  return {audio.begin(), audio.end()};
}

double Cosine(const std::vector<float>& a, const std::vector<float>& b) {
  double ab = 0, aa = 0, bb = 0;
  for (size_t i = 0; i < a.size(); ++i)
    ab += double{a[i]} * b[i], aa += double{a[i]} * a[i],
        bb += double{b[i]} * b[i];
  return ab / std::sqrt(aa * bb);
}

std::vector<float> OnCpu(unsigned seed, const std::string& profile) {
  Engine engine(MakeTinyStore(), nullptr, {.profile = profile, .threads = 1});
  WindowModel model(engine);
  return Encoded(model, seed);
}

TEST(NpuEngine, E8EmulatedIsSaidAndNear) {
  Engine engine(MakeTinyStore(), nullptr, {.device = "npu-sim", .threads = 2});
  WindowModel model(engine);
  EXPECT_THAT(engine.encoder_device(), HasSubstr("emulated"));
  EXPECT_EQ(engine.fallback(), "");
  for (const unsigned seed : {1U, 2U})
    EXPECT_GT(Cosine(Encoded(model, seed), OnCpu(seed, "cpu-f32")), 0.999);
  EXPECT_EQ(engine.ProgramFor(Stage::kEncoder, {})->steps().size(), 1u);
}

// E8: no NPU here: the CPU does it, and the reason is there to be read.
TEST(NpuEngine, E8MissingDeviceFallsBackWithItsReason) {
  Engine engine(MakeTinyStore(), nullptr, {.device = "npu", .threads = 1});
  EXPECT_THAT(engine.fallback(), HasSubstr("npu: "));
  EXPECT_EQ(engine.encoder_device(), "cpu");
  WindowModel model(engine);
  EXPECT_EQ(Encoded(model, 3), OnCpu(3, DefaultProfile()));
}

// Works for some windows, then fails as a device does.
class FailingRunner : public npu::EncoderRunner {
 public:
  explicit FailingRunner(int good) : good_(good) {}
  std::string name() const override { return "npu1 (test)"; }
  size_t WorkBytes(const npu::PackedEncoder& encoder) const override {
    return inner_->WorkBytes(encoder);
  }
  void Run(const npu::PackedEncoder& encoder, const float* mel, float* audio,
           std::byte* work, ThreadPool& pool) const override {
    inner_->Run(encoder, mel, audio, work, pool);
    if (runs_++ < good_) return;
    audio[0] = std::nanf("");  // what failed must not be used
    Fail(ErrorCode::kDevice, "npu: TIMEOUT: the array made no progress");
  }

 private:
  std::unique_ptr<npu::EncoderRunner> inner_ = npu::MakeHostRunner();
  int good_;
  mutable int runs_ = 0;
};

TEST(NpuEngine, E8FailureInARunFallsBackAndStays) {
  Engine engine(MakeTinyStore(), nullptr,
                {.device = "npu",
                 .threads = 1,
                 .npu_runner = std::make_shared<FailingRunner>(1)});
  WindowModel model(engine);
  EXPECT_EQ(engine.encoder_device(), "npu1 (test)");
  EXPECT_GT(Cosine(Encoded(model, 4), OnCpu(4, "cpu-f32")), 0.999);
  EXPECT_EQ(engine.fallback(), "");
  // The second window fails on the device; the CPU's answer is what comes.
  EXPECT_EQ(Encoded(model, 5), OnCpu(5, DefaultProfile()));
  EXPECT_EQ(engine.encoder_device(), "cpu");
  EXPECT_THAT(engine.fallback(), HasSubstr("TIMEOUT"));
  EXPECT_EQ(Encoded(model, 6), OnCpu(6, DefaultProfile()));
}

// --device npu whole: a package, XRT's protocol, the array's arithmetic. Then
// the device fails.
TEST(NpuEngine, E8DeviceWithAPackageEncodesUntilItFails) {
  const npu::FakeTools tools;
  const auto packages = tools.root() / "npu";
  npu::BuildPackages(tools, packages);
  npu::MockXrt xrt;
  npu::SimulatedPackage array(npu::EncoderPrecision::kBF16);
  xrt.program = [&](auto words, auto data) { return array.Run(words, data); };
  const auto store = MakeTinyStore({.width = 128, .heads = 2});
  const auto engine_on = [&](const std::filesystem::path& folder) {
    return std::make_unique<Engine>(
        store, nullptr,
        EngineOptions{.device = "npu",
                      .threads = 1,
                      .npu_runner = npu::MakeDeviceRunner(
                          std::make_shared<npu::SharedDevice>(
                              npu::OpenXrtDevice(xrt.api())),
                          {.packages = folder})});
  };
  const auto on_cpu = [&](unsigned seed) {
    Engine engine(store, nullptr, {.profile = DefaultProfile(), .threads = 1});
    WindowModel model(engine);
    return Encoded(model, seed);
  };
  {
    const auto engine = engine_on(packages);
    WindowModel model(*engine);
    Engine emulated(store, nullptr, {.device = "npu-sim", .threads = 1});
    WindowModel emulation(emulated);
    EXPECT_EQ(Encoded(model, 20), Encoded(emulation, 20));
    EXPECT_EQ(engine->encoder_device(), "RyzenAI-npu1 (XRT 2.25)");
    EXPECT_EQ(engine->fallback(), "");
    xrt.program = [](auto, auto) { return npu::RunState::kTimeout; };
    EXPECT_EQ(Encoded(model, 21), on_cpu(21));
    EXPECT_EQ(engine->encoder_device(), "cpu");
    EXPECT_THAT(engine->fallback(), HasSubstr("ended as TIMEOUT"));
  }
  WriteFileAtomic(packages / "encoder-bf16" / "design.xclbin", "changed");
  const auto engine = engine_on(packages);
  WindowModel model(*engine);
  EXPECT_EQ(Encoded(model, 22), on_cpu(22));
  EXPECT_THAT(engine->fallback(), HasSubstr("build the package again"));
}

TEST(NpuEngine, Int8WantsScalesAndFindsThem) {
  const TestFolder here;
  const auto& folder = here.path();
  const auto store = MakeTinyStore();
  ConvertModel(*store, ModelFormat::kHf, folder);
  const EngineOptions options{
      .profile = "npu-int8", .device = "npu-sim", .threads = 1};
  try {
    Engine engine(folder, options);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kNotFound);
    EXPECT_THAT(error.what(), HasSubstr("sotto.npu-scales"));
    EXPECT_THAT(error.what(), HasSubstr("sotto npu calibrate"));
    EXPECT_THAT(error.what(), Not(HasSubstr("no kernel")));
  }
  Calibrator calibrator(*store, 1);
  for (const unsigned seed : {7U, 8U}) {
    std::vector<float> mel(size_t{80} * 3000);
    const std::vector<float> pcm = Noise(5, seed);
    MelSource(std::span<const float>(pcm), 80).Window(0, mel);
    calibrator.See(mel);
  }
  calibrator.result().Save(folder / npu::kCalibrationFile);
  Engine engine(folder, options);
  WindowModel model(engine);
  EXPECT_GT(Cosine(Encoded(model, 9), OnCpu(9, "cpu-f32")), 0.995);
  EXPECT_EQ(engine.ProgramFor(Stage::kEncoder, {})->steps()[0]->info().kernel,
            "npu_int8");
}

// Scales of another version, or half of a file, stop int8 and nothing else.
TEST(NpuEngine, DamagedScalesStopOnlyInt8) {
  const TestFolder here;
  const auto& folder = here.path();
  ConvertModel(*MakeTinyStore(), ModelFormat::kHf, folder);
  WriteFileAtomic(folder / npu::kCalibrationFile, "no scales\n");
  Engine engine(folder, {.device = "npu-sim", .threads = 1});
  EXPECT_EQ(engine.ProgramFor(Stage::kEncoder, {})->steps()[0]->info().kernel,
            "npu_bf16");
  EXPECT_THROW(Engine(folder, {.profile = "npu-int8", .device = "npu-sim"}),
               Error);
  // Of another model.
  npu::Calibration other;
  other.See("stem.h", std::vector<float>(6, 1.0F), 6);
  other.Save(folder / npu::kCalibrationFile);
  try {
    Engine wrong(folder, {.profile = "npu-int8", .device = "npu-sim"});
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kBadInput);
    EXPECT_THAT(error.what(), HasSubstr("site stem.h has 6 channels"));
    EXPECT_THAT(error.what(), HasSubstr("sotto npu calibrate --model"));
  }
}

}  // namespace
}  // namespace sotto
