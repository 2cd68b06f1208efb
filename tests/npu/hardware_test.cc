// SPDX-License-Identifier: MIT
// Rows that want a real NPU (class H). Where there is none, Hardware.* are
// skipped by name; where there is one, with Peano and aiecc, each builds
// what it needs, runs it through the host's interface and compares every byte.
// Rehearsal.* do the same with made-up tools, a mock of XRT or of the driver
// and the simulator for an array, so that what only a device runs is known to
// run.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <type_traits>

#include "acceptance_row.h"
#include "base/error.h"
#include "base/file.h"
#include "base/test_folder.h"
#include "design_run.h"
#include "engine/engine.h"
#include "engine/window_model.h"
#include "npu/design/designs.h"
#include "npu/emit/build.h"
#include "npu/emit/fake_tools.h"
#include "npu/encoder/device_runner.h"
#include "npu/host/doctor.h"
#include "npu/host/fake_amdxdna.h"
#include "npu/host/mock_xrt.h"
#include "npu/host/raw_device.h"
#include "npu/host/test_xclbin.h"
#include "npu/host/this_npu.h"
#include "npu/host/xrt_device.h"
#include "npu/run/design_list.h"
#include "npu/run/kernel_run.h"
#include "npu/sim/array.h"
#include "npu/sim/device.h"
#include "stage_runner.h"

namespace sotto::npu {
namespace {

namespace fs = std::filesystem;

// A device, and packages for it.
class Bench {
 public:
  virtual ~Bench() = default;
  virtual std::unique_ptr<Device> Open() = 0;
  virtual const SottoXrtApi* xrt() = 0;  // null: without XRT
  virtual Package Built(const Design& design) = 0;

  Device& device() {
    if (!device_) device_ = Open();
    return *device_;
  }
  KernelRunResult Run(const char* kernel, const KernelDesign& design) {
    if (FindKernel(kernel) == nullptr)
      Fail(ErrorCode::kInternal, "no kernel {}", kernel);
    const KernelInfo& info = *FindKernel(kernel);
    const Package package = Built(MakeKernelDesign(info, design));
    KernelRunOptions options;
    options.design = design;
    const auto run =
        RunKernel(device(), info, options, package.xclbin.string());
    EXPECT_FALSE(run.modelled);
    EXPECT_GT(run.compared_bytes, 0);
    EXPECT_EQ(run.wrong_bytes, 0) << run.first_wrong;
    return run;
  }

 protected:
  std::unique_ptr<Device> device_;
};

Package BuildAndOpen(const Design& design, const Environment& environment,
                     const fs::path& folder) {
  BuildPackage(design, environment, {.folder = folder});
  return OpenPackage(design, folder);
}

// The array behaves as the design built last.
class SimulatedBench : public Bench {
 public:
  Package Built(const Design& design) override {
    Package package =
        BuildAndOpen(design, tools_.Probe(), tools_.root() / "out");
    array_ = std::make_unique<Array>(
        std::make_shared<const ArrayConfig>(package.plan.config), SimOptions{});
    // What made-up tools make is no xclbin.
    package.xclbin = tools_.root() / "a.xclbin";
    const std::vector<std::byte> xclbin = TestXclbin().Bytes();
    WriteFileAtomic(
        package.xclbin,
        {reinterpret_cast<const char*>(xclbin.data()), xclbin.size()});
    return package;
  }

 protected:
  RunState OnArray(std::span<const uint32_t> words,
                   std::span<const std::span<std::byte>> data) {
    const SimRun run = array_->Run(Decode(words), data);
    EXPECT_EQ(run.state, RunState::kCompleted) << run.detail;
    return run.state;
  }

 private:
  FakeTools tools_;
  std::unique_ptr<Array> array_;
};

class MockXrtBench : public SimulatedBench {
 public:
  MockXrtBench() {
    mock_.program = [this](auto words, auto data) {
      return OnArray(words, data);
    };
  }
  ~MockXrtBench() override { device_.reset(); }  // before the mock
  std::unique_ptr<Device> Open() override { return OpenXrtDevice(*xrt()); }
  const SottoXrtApi* xrt() override { return &mock_.api(); }

 private:
  MockXrt mock_;
};

// Without XRT.
class FakeDriverBench : public SimulatedBench {
 public:
  FakeDriverBench() {
    driver_.program = [this](auto words, auto data) {
      return OnArray(words, data);
    };
  }
  ~FakeDriverBench() override { device_.reset(); }
  std::unique_ptr<Device> Open() override {
    return OpenRawDevice(driver_.Open());
  }
  const SottoXrtApi* xrt() override { return nullptr; }

 private:
  FakeAmdxdna driver_;
};

fs::path PluginOfThisBuild() {
  const fs::path plugin = fs::path(SOTTO_BINARY_DIR) / "libsotto_xrt.so";
  return fs::exists(plugin) ? plugin : FindXrtPlugin();
}

// Through XRT where there is one, else through the driver.
std::unique_ptr<Device> OpenReal() {
  const fs::path plugin = PluginOfThisBuild();
  return plugin.empty() ? OpenThisNpu(*ThisSystem())
                        : OpenXrtDevice(LoadXrtPlugin(plugin));
}

class RealBench : public Bench {
 public:
  std::unique_ptr<Device> Open() override { return OpenReal(); }
  const SottoXrtApi* xrt() override {
    const fs::path plugin = PluginOfThisBuild();
    return plugin.empty() ? nullptr : &LoadXrtPlugin(plugin);
  }
  Package Built(const Design& design) override {
    std::string name = design.name;
    std::replace(name.begin(), name.end(), '/', '-');
    return BuildAndOpen(design, ProbeEnvironment(), folder_ / name);
  }

 private:
  TestFolder folder_;
};

// What is in the way of running anything on an NPU; empty: nothing.
std::string Obstacle() {
  const auto system = ThisSystem();
  for (const Finding& f : ExamineMachine(*system)) {
    if (f.ok) continue;
    return f.id == "pci" ? "no device" : "a device, but " + f.detail;
  }
  for (const Finding& f :
       EitherWay(ExamineXrt(*system, PluginOfThisBuild()), ExamineRaw(*system)))
    if (!f.ok) return "a device, but " + f.detail;
  return {};
}

// --- what is done on either -------------------------------------------------

void Attention16(Bench& bench) {
  for (const int shift : {0, 4})
    bench.Run("attention_16x16", {.ints = {shift}, .calls = 4});
}

void FlashBlocks(Bench& bench) {
  constexpr int kState = 16 * 76;
  KernelDesign scores{.elements = {1024, 1024, 16 * 16, kState},
                      .ints = {16, 16, 64, 0, 16}};
  bench.Run("flash_scores_bf16", scores);
  scores.ints.insert(scores.ints.end(), {8, 64});  // the shift; width of q
  bench.Run("flash_scores_i8", scores);
  bench.Run("flash_values",
            {.elements = {16 * 16, 1024, kState}, .ints = {16, 16, 64, 0}});
}

// The simulator's bytes, four times; how much faster four columns are than one
// four times.
double FourColumns(Bench& bench) {
  double ms[2] = {};
  for (const int columns : {1, 4}) {
    const Design design =
        MakeAttention("attention_64x64_v3", columns, columns, 3);
    const Package package = bench.Built(design);
    SimDevice simulator;
    LoadedDesign real(bench.device(), design, &package),
        model(simulator, design);
    for (uint64_t seed = 0; seed < 4; ++seed) {
      const auto in = real.RandomInputs(seed);
      const DesignRun run = real.Run(in);
      EXPECT_FALSE(run.last.modelled);
      EXPECT_EQ(run.out, model.Run(in).out) << columns << " columns";
      ms[columns == 4] = run.last.wall_ms;
    }
  }
  return 4 * ms[0] / ms[1];
}

// Every point of the checklist on a run of its own.
void DoctorsRun(Bench& bench) {
  const Package package = bench.Built(MakeDesign("passthrough"));
  TestRun run;
  run.image = {std::make_shared<const ArrayConfig>(package.plan.config),
               package.xclbin.string(), package.instructions};
  run.input = RandomBytes(16 * 4096, 1);
  run.want = run.input;
  const auto findings = ExamineRun(*bench.xrt(), run);
  EXPECT_TRUE(Healthy(findings)) << ToText(findings);
}

// --- rehearsals -------------------------------------------------------------

template <typename T>
class Rehearsal : public testing::Test {
 protected:
  T bench_;
};
struct BenchNames {
  template <typename T>
  static std::string GetName(int) {
    return std::is_same_v<T, MockXrtBench> ? "Xrt" : "Driver";
  }
};
using Benches = testing::Types<MockXrtBench, FakeDriverBench>;
TYPED_TEST_SUITE(Rehearsal, Benches, BenchNames);

TYPED_TEST(Rehearsal, K1Attention16) { Attention16(this->bench_); }
TYPED_TEST(Rehearsal, K5FlashAttentionBlock) { FlashBlocks(this->bench_); }
TYPED_TEST(Rehearsal, K6FourColumns) { FourColumns(this->bench_); }
TEST(RehearsalOfXrt, R3DoctorsRun) {
  MockXrtBench bench;
  DoctorsRun(bench);
}

// --- the device -------------------------------------------------------------

class Hardware : public testing::Test {
 protected:
  void SetUp() override {
    if (const auto obstacle = Obstacle(); !obstacle.empty())
      GTEST_SKIP() << obstacle;
    if (!ProbeEnvironment().CanBuild())
      GTEST_SKIP() << "a device, but no Peano or no aiecc";
    ASSERT_FALSE(bench_.device().simulated());
  }
  RealBench bench_;
};

TEST_F(Hardware, K1Attention16) { Attention16(bench_); }

TEST_F(Hardware, K5FlashAttentionBlock) { FlashBlocks(bench_); }

TEST_F(Hardware, K6FourColumns) {
  const double faster = FourColumns(bench_);
  EXPECT_GE(faster, 3.7);
  ReportRow("K6",
            fmt::format("{:.2f} times one column on {}", faster,
                        bench_.device().name()),
            RowTag::kMeasured);
}

TEST_F(Hardware, N1TimeOfATile) {
  const auto run = bench_.Run("attention_64x64_v0", {.ints = {4}});
  ReportRow("N1",
            fmt::format("published kernel on {}: {:.2f} ms, deviation {:.2f}",
                        run.device, run.ms.mean, run.ms.std),
            RowTag::kMeasured);
}

TEST_F(Hardware, R3DoctorsRun) {
  if (bench_.xrt() == nullptr) GTEST_SKIP() << "a device, but no XRT";
  DoctorsRun(bench_);
}

TEST_F(Hardware, R12PackagesLoad) { bench_.Run("passthrough_u8", {}); }

TEST_F(Hardware, E9PowerIsRead) {
  const auto run = bench_.Run("attention_64x64_v3", {.ints = {3}});
  if (!run.power) GTEST_SKIP() << "neither RAPL nor SMU can be read: no field";
  EXPECT_GT(run.power->watts, 0);
  ReportRow("E9",
            fmt::format("{:.1f} W of the whole package ({})", run.power->watts,
                        run.power->source),
            RowTag::kMeasured);
}

// Needs the tools, not the device.
TEST(HardwareTools, R12N10PeanoAndAieccMakeAPackage) {
  if (!ProbeEnvironment().CanBuild()) GTEST_SKIP() << "no Peano or no aiecc";
  const TestFolder here;
  const fs::path& folder = here.path();
  const Design design = MakeDesign("passthrough");
  const BuildResult built =
      BuildPackage(design, ProbeEnvironment(), {.folder = folder});
  EXPECT_EQ(OpenPackage(design, folder).xclbin, built.xclbin);
  ReportRow("N10",
            fmt::format("xclbin of {} bytes, built in {:.1f} s",
                        fs::file_size(built.xclbin), built.seconds),
            RowTag::kMeasured);
}

// The product's own way: base with --device npu, against the CPU's f32, on
// packages built here or, without the tools, on those that are installed.
class HardwareEncoder : public testing::TestWithParam<EncoderPrecision> {
 protected:
  struct Encoded {
    std::vector<float> audio;
    double ms = 0;  // the second time
  };
  static Encoded Encode(Engine& engine, std::span<const float> window) {
    WindowModel model(engine);
    std::copy(window.begin(), window.end(), model.mel().begin());
    model.Encode();
    const double before = model.times().ms[0];
    model.Encode();
    return {{model.audio().begin(), model.audio().end()},
            model.times().ms[0] - before};
  }
  static EngineOptions OnDevice() {
    const bool int8 = GetParam() == EncoderPrecision::kInt8;
    EngineOptions options{.profile = int8 ? "npu-int8" : "npu-bf16",
                          .device = "npu"};
    if (!ProbeEnvironment().CanBuild()) return options;
    static const TestFolder folder;
    const fs::path packages = folder / "npu-packages";
    BuildPackage(PackageDesign(GetParam()), ProbeEnvironment(),
                 {.folder = packages / PackageName(GetParam())});
    options.npu_runner = MakeDeviceRunner(
        std::make_shared<SharedDevice>(OpenReal()), {.packages = packages});
    return options;
  }
};

TEST_P(HardwareEncoder, E2N7N8Base) {
  if (const auto obstacle = Obstacle(); !obstacle.empty())
    GTEST_SKIP() << obstacle;
  const auto folder = RealModel("base");
  const auto mel = TestData("oracle/numeric/jfk-mel80.safetensors");
  if (!folder || !mel) GTEST_SKIP() << "no model base or no SOTTO_TEST_DATA";
  const std::vector<float> window = Numbers(*mel).Floats("mel");
  Engine cpu(*folder, {.profile = "cpu-f32"}), npu(*folder, OnDevice());
  // No package, or no scales for int8.
  if (!npu.fallback().empty()) GTEST_SKIP() << npu.fallback();
  const Encoded want = Encode(cpu, window), got = Encode(npu, window);
  ASSERT_EQ(npu.fallback(), "");
  const bool int8 = GetParam() == EncoderPrecision::kInt8;
  const std::string device =
      fmt::format("{} on {}", npu.profile().name, npu.encoder_device());
  const double cosine = Cosine(got.audio, want.audio);
  EXPECT_GE(cosine, int8 ? 0.995 : 0.999);
  ReportRow("E2", fmt::format("cosine {:.5f}, {}", cosine, device),
            RowTag::kMeasured);
  const double wanted_ms = int8 ? 28 : 45;
  ReportRow(
      "N7",
      fmt::format("encoder {:.1f} ms, {}, want {}", got.ms, device, wanted_ms),
      RowTag::kMeasured, got.ms <= wanted_ms);
  ReportRow("N8",
            fmt::format("encoder {:.1f} ms, {}; f32 on its CPU {:.1f} ms",
                        got.ms, device, want.ms),
            RowTag::kMeasured);
}

INSTANTIATE_TEST_SUITE_P(Device, HardwareEncoder,
                         testing::Values(EncoderPrecision::kBF16,
                                         EncoderPrecision::kInt8),
                         [](const auto& of) {
                           return of.param == EncoderPrecision::kInt8 ? "Int8"
                                                                      : "Bf16";
                         });

}  // namespace
}  // namespace sotto::npu
