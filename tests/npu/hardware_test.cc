// SPDX-License-Identifier: MIT
// Rows that want a real NPU (class H). Where there is none they are skipped by
// name; where there is one, with XRT, Peano and aiecc, each builds what it
// needs, runs it through the host's interface and compares every byte.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "acceptance_row.h"
#include "design_run.h"
#include "engine/engine.h"
#include "engine/window_model.h"
#include "npu/design/designs.h"
#include "npu/emit/build.h"
#include "npu/host/doctor.h"
#include "npu/host/xrt_device.h"
#include "npu/run/kernel_run.h"
#include "npu/sim/device.h"
#include "stage_runner.h"

namespace sotto::npu {
namespace {

namespace fs = std::filesystem;

// What is in the way of running anything; empty: nothing.
std::string Obstacle() {
  const auto system = ThisSystem();
  for (const Finding& f : ExamineMachine(*system)) {
    if (f.ok) continue;
    return f.id == "pci" ? "no device" : "a device, but " + f.detail;
  }
  return {};
}

fs::path PluginOfThisBuild() {
  const fs::path plugin = fs::path(SOTTO_BINARY_DIR) / "libsotto_xrt.so";
  return fs::exists(plugin) ? plugin : FindXrtPlugin();
}

class Hardware : public testing::Test {
 protected:
  void SetUp() override {
    if (const auto obstacle = Obstacle(); !obstacle.empty())
      GTEST_SKIP() << obstacle;
    const Finding xrt = ExamineXrt(*ThisSystem(), PluginOfThisBuild());
    if (!xrt.ok) GTEST_SKIP() << "a device, but " << xrt.detail;
    device_ = OpenXrtDevice(LoadXrtPlugin(PluginOfThisBuild()));
    ASSERT_FALSE(device_->simulated());
  }

  // Skips where a package cannot be built.
  bool CanBuild() {
    environment_ = ProbeEnvironment();
    return environment_.CanBuild();
  }
  Package Built(const Design& design) {
    std::string name = design.name;
    std::replace(name.begin(), name.end(), '/', '-');
    BuildOptions options;
    options.folder = fs::path(testing::TempDir()) / ("hardware-" + name);
    options.sources =
        DeviceSources(fs::path(SOTTO_SOURCE_DIR) / "src/npu/kernels");
    options.include_folders = {fs::path(SOTTO_SOURCE_DIR) / "src"};
    BuildPackage(design, environment_, options);
    return OpenPackage(design, options.folder);
  }
  KernelRunResult RunOnDevice(const char* kernel, const KernelDesign& design) {
    const KernelInfo& info = *FindKernel(kernel);
    const Package package = Built(MakeKernelDesign(info, design));
    KernelRunOptions options;
    options.design = design;
    const auto run =
        RunKernel(*device_, info, options, package.xclbin.string());
    EXPECT_FALSE(run.modelled);
    EXPECT_EQ(run.wrong_bytes, 0) << run.first_wrong;
    return run;
  }

  std::unique_ptr<Device> device_;
  Environment environment_;
};

#define SKIP_WITHOUT_TOOLS() \
  if (!CanBuild()) GTEST_SKIP() << "a device, but no Peano or no aiecc"

TEST_F(Hardware, K1Attention16) {
  SKIP_WITHOUT_TOOLS();
  for (const int shift : {0, 4})
    RunOnDevice("attention_16x16", {.ints = {shift}, .calls = 4});
}

TEST_F(Hardware, K5FlashAttentionBlock) {
  SKIP_WITHOUT_TOOLS();
  for (const char* kernel : {"flash_block_bf16", "flash_block_i8"})
    RunOnDevice(kernel, {.elements = {1024, 1024, 1024, 16 * 72, 16 * 12},
                         .ints = {16, 16, 64, 0, 16, 8}});
}

// Four columns on the device give the simulator's bytes, and take little longer
// than one.
TEST_F(Hardware, K6FourColumns) {
  SKIP_WITHOUT_TOOLS();
  double ms[2] = {};
  for (const int columns : {1, 4}) {
    const Design design =
        MakeAttention("attention_64x64_v3", columns, columns, 3);
    const Package package = Built(design);
    SimDevice simulator;
    LoadedDesign real(*device_, design, &package), model(simulator, design);
    for (uint64_t seed = 0; seed < 4; ++seed) {
      const auto in = real.RandomInputs(seed);
      const DesignRun run = real.Run(in);
      EXPECT_EQ(run.out, model.Run(in).out) << columns << " columns";
      ms[columns == 4] = run.last.wall_ms;
    }
  }
  const double faster = 4 * ms[0] / ms[1];
  EXPECT_GE(faster, 3.7);
  ReportRow(
      "K6",
      fmt::format("{:.2f} times one column on {}", faster, device_->name()),
      RowTag::kMeasured);
}

TEST_F(Hardware, N1TimeOfATile) {
  SKIP_WITHOUT_TOOLS();
  const auto run = RunOnDevice("attention_64x64_v0", {.ints = {4}});
  ReportRow("N1",
            fmt::format("published kernel on {}: {:.2f} ms, deviation {:.2f}",
                        run.device, run.ms.mean, run.ms.std),
            RowTag::kMeasured);
}

// Every point of the checklist on a run of its own.
TEST_F(Hardware, R3DoctorsRun) {
  SKIP_WITHOUT_TOOLS();
  const Package package = Built(MakeDesign("passthrough"));
  TestRun run;
  run.image = {std::make_shared<const ArrayConfig>(package.plan.config),
               package.xclbin.string(), package.instructions};
  run.input = RandomBytes(16 * 4096, 1);
  run.want = run.input;
  const auto findings = ExamineRun(LoadXrtPlugin(PluginOfThisBuild()), run);
  EXPECT_TRUE(Healthy(findings)) << ToText(findings);
}

TEST_F(Hardware, R12PackagesLoad) {
  SKIP_WITHOUT_TOOLS();
  RunOnDevice("passthrough_u8", {});
}

TEST_F(Hardware, E9PowerIsRead) {
  SKIP_WITHOUT_TOOLS();
  const auto run = RunOnDevice("attention_64x64_v3", {.ints = {3}});
  if (!run.power) GTEST_SKIP() << "neither RAPL nor SMU can be read: no field";
  EXPECT_GT(run.power->watts, 0);
  ReportRow("E9",
            fmt::format("{:.1f} W of the whole package ({})", run.power->watts,
                        run.power->source),
            RowTag::kMeasured);
}

// The product's own way: base with --device npu.
TEST_F(Hardware, E2N7N8EncoderOfBase) {
  const auto folder = RealModel("base");
  const auto mel = TestData("oracle/numeric/jfk-mel80.safetensors");
  if (!folder || !mel) GTEST_SKIP() << "no model base or no SOTTO_TEST_DATA";
  const std::vector<float> window = Numbers(*mel).Floats("mel");
  const auto encode = [&](Engine& engine, double* ms) {
    WindowModel model(engine);
    std::copy(window.begin(), window.end(), model.mel().begin());
    model.Encode();
    const double before = model.times().ms[0];
    model.Encode();
    *ms = model.times().ms[0] - before;
    return std::vector<float>(model.audio().begin(), model.audio().end());
  };
  double ms = 0, cpu_ms = 0;
  Engine cpu(*folder, {.profile = "cpu-f32"});
  const auto want = encode(cpu, &cpu_ms);
  Engine engine(*folder, {.device = "npu"});
  if (!engine.fallback().empty()) GTEST_SKIP() << engine.fallback();
  const auto got = encode(engine, &ms);
  ASSERT_EQ(engine.fallback(), "");
  const double cosine = Cosine(got, want);
  EXPECT_GE(cosine, 0.999);
  ReportRow("E2", fmt::format("cosine {:.5f} on {}", cosine, device_->name()),
            RowTag::kMeasured);
  ReportRow(
      "N7",
      fmt::format("encoder {:.1f} ms on {}, want 45", ms, device_->name()),
      RowTag::kMeasured, ms <= 45);
  ReportRow("N8",
            fmt::format("encoder {:.1f} ms on {}, {:.1f} ms f32 on its CPU", ms,
                        device_->name(), cpu_ms),
            RowTag::kMeasured);
}

// Needs the tools, not the device.
TEST(HardwareTools, R12PeanoAndAieccMakeAPackage) {
  const Environment environment = ProbeEnvironment();
  if (!environment.CanBuild()) GTEST_SKIP() << "no Peano or no aiecc";
  BuildOptions options;
  options.folder = fs::path(testing::TempDir()) / "hardware-tools";
  options.sources =
      DeviceSources(fs::path(SOTTO_SOURCE_DIR) / "src/npu/kernels");
  options.include_folders = {fs::path(SOTTO_SOURCE_DIR) / "src"};
  const Design design = MakeDesign("passthrough");
  const BuildResult built = BuildPackage(design, environment, options);
  EXPECT_EQ(OpenPackage(design, options.folder).xclbin, built.xclbin);
  ReportRow("N10",
            fmt::format("xclbin {} bytes, built in {:.1f} s",
                        fs::file_size(built.xclbin), built.seconds),
            RowTag::kMeasured);
}

}  // namespace
}  // namespace sotto::npu
