// SPDX-License-Identifier: MIT
// The encoder through XRT's protocol: a mock XRT with the simulated array
// behind it gives the host's bits, and whatever goes wrong is one line.
#include "npu/encoder/device_runner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "base/file.h"
#include "npu/encoder/array_design.h"
#include "npu/encoder/array_pack.h"
#include "npu/encoder/random_encoder.h"
#include "npu/encoder/simulated_xrt.h"
#include "npu/host/protocol.h"
#include "npu/host/xrt_device.h"

namespace sotto::npu {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

constexpr EncoderPrecision kPrecisions[] = {EncoderPrecision::kBF16,
                                            EncoderPrecision::kInt8};
const EncoderShape kSmall{.n_mels = 16,
                          .frames = 140,
                          .width = 128,
                          .heads = 2,
                          .ffn = 256,
                          .layers = 2};

// Packages of both precisions, built once with tools made of shell.
class DeviceRunnerTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    tools_ = std::make_unique<FakeTools>();
    BuildPackages(*tools_, Packages());
  }
  static void TearDownTestSuite() { tools_.reset(); }
  static fs::path Packages() { return tools_->root() / "npu"; }

  void Simulate(EncoderPrecision precision) {
    const auto array = std::make_shared<SimulatedPackage>(precision);
    mock_.program = [array](auto words, auto data) {
      return array->Run(words, data);
    };
  }
  std::unique_ptr<EncoderRunner> Open(const SottoXrtApi& api,
                                      DeviceRunnerOptions options) {
    return MakeDeviceRunner(std::make_shared<SharedDevice>(OpenXrtDevice(api)),
                            options);
  }
  std::unique_ptr<EncoderRunner> Open() {
    return Open(mock_.api(), {.packages = Packages()});
  }
  static std::vector<float> Run(const EncoderRunner& runner,
                                const PackedEncoder& encoder,
                                const std::vector<float>& mel) {
    ThreadPool pool(1);
    std::vector<float> audio(static_cast<size_t>(encoder.shape.positions()) *
                             encoder.shape.width);
    runner.Run(encoder, mel.data(), audio.data(), nullptr, pool);
    return audio;
  }
  // The error of a run, or of opening; always one line that lets the engine go
  // on with the CPU.
  template <typename Call>
  static std::string ErrorOf(ErrorCode code, Call&& call) {
    try {
      call();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), code) << error.what();
      EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
      return error.what();
    }
    return "no error";
  }
  std::string RunError(DeviceRunnerOptions options = {.packages = Packages()}) {
    const RandomEncoder random(kSmall, EncoderPrecision::kBF16, 1);
    const auto runner = Open(mock_.api(), options);
    const auto mel = RandomMel(kSmall, 2);
    return ErrorOf(ErrorCode::kDevice, [&] { Run(*runner, random.e, mel); });
  }

  static std::unique_ptr<FakeTools> tools_;
  MockXrt mock_;
};
std::unique_ptr<FakeTools> DeviceRunnerTest::tools_;

// Models, precisions and shapes in turn; the protocol as the checklist wants
// it; a model's weights go to the device once; nothing is left open.
TEST_F(DeviceRunnerTest, R2E8GivesTheHostsBitsThroughXrt) {
  for (const EncoderPrecision precision : kPrecisions) {
    SCOPED_TRACE(PackageName(precision));
    Simulate(precision);
    const EncoderShape other{8, 60, 128, 2, 64, 1};
    const RandomEncoder first(kSmall, precision, 3);
    const RandomEncoder second(other, precision, 4);
    XrtRecorder recorder(mock_.api());
    const auto runner = Open(recorder.api(), {.packages = Packages()});
    EXPECT_EQ(runner->name(), "RyzenAI-npu1 (XRT 2.25)");
    const int64_t weights = MakeArrayLayout(kSmall, precision)
                                .bytes[static_cast<int>(ArrayBuffer::kWeights)];
    mock_.runs = 0;
    for (unsigned seed : {5U, 6U, 7U}) {
      const auto mel = RandomMel(kSmall, seed);
      ExpectSameBits(Run(*runner, first.e, mel), OnHost(first.e, mel),
                     kSmall.width);
    }
    EXPECT_EQ(mock_.runs, 3);
    int written = 0;  // once as zeros, once as weights
    for (const XrtCall& call : recorder.calls())
      written += call.kind == XrtCall::Kind::kSync &&
                 static_cast<int64_t>(call.bytes) == weights;
    EXPECT_EQ(written, 2);
    for (const Finding& f : Audit(recorder.calls()))
      EXPECT_TRUE(f.ok) << f.id << ": " << f.detail;
    const auto mel = RandomMel(other, 8);
    ExpectSameBits(Run(*runner, second.e, mel), OnHost(second.e, mel),
                   other.width);
    EXPECT_EQ(mock_.contexts, 1);
  }
  EXPECT_EQ(mock_.handles, 0);
}

// What a package holds is the same for every model's shape.
TEST_F(DeviceRunnerTest, OnePackageServesAllShapes) {
  for (const EncoderPrecision precision : kPrecisions) {
    const Plan built = MakePlan(ForDevice(PackageDesign(precision)));
    for (const EncoderShape& shape :
         {kSmall, EncoderShape{80, 3000, 384, 6, 1536, 4},
          EncoderShape{80, 3000, 768, 12, 3072, 12},
          EncoderShape{128, 3000, 1280, 20, 5120, 32}}) {
      const Plan plan =
          MakePlan(ForDevice(MakeEncoderDesign(shape, precision)));
      EXPECT_TRUE(plan.config.tiles == built.config.tiles) << shape.width;
    }
    // As aiecc lays a core's memory out: stack, buffers, then tables, of which
    // int8 has none.
    for (const auto& [tile, config] : built.config.tiles) {
      if (config.program.empty()) continue;
      EXPECT_EQ(config.stack_address, 0);
      const bool tables = precision == EncoderPrecision::kBF16;
      EXPECT_EQ(config.buffers.back().name == ".data", tables);
      for (const PlacedBuffer& b : config.buffers) {
        EXPECT_GE(b.address, config.stack_bytes);
        EXPECT_TRUE(!tables || b.address <= config.buffers.back().address);
      }
    }
  }
}

TEST_F(DeviceRunnerTest, E8MissingPackagesAreTold) {
  const auto open = [&](const fs::path& folder) {
    return ErrorOf(ErrorCode::kUnsupported,
                   [&] { Open(mock_.api(), {.packages = folder}); });
  };
  EXPECT_THAT(open(tools_->root() / "none"),
              HasSubstr("`sotto npu build encoder`"));
  // The other precision's is there.
  const fs::path only = tools_->root() / "only";
  fs::create_directories(only);
  fs::copy(Packages() / "encoder-int8", only / "encoder-int8",
           fs::copy_options::recursive);
  EXPECT_THAT(RunError({.packages = only}),
              HasSubstr("encoder-bf16: no NPU package is built here"));
}

TEST_F(DeviceRunnerTest, E8StalePackagesAreTold) {
  const fs::path stale = tools_->root() / "stale";
  for (const auto& [file, says] :
       {std::pair("design.xclbin", "design.xclbin is "),
        std::pair("planned.bin", "planned.bin is "),
        std::pair("sources/npu/kernels/gemm.cc", "kernels/gemm.cc is ")}) {
    SCOPED_TRACE(file);
    fs::remove_all(stale);
    fs::copy(Packages(), stale, fs::copy_options::recursive);
    WriteFileAtomic(stale / "encoder-bf16" / file, "changed");
    EXPECT_THAT(RunError({.packages = stale}),
                testing::AllOf(HasSubstr("npu: "), HasSubstr(says),
                               HasSubstr("build the package again")));
  }
}

TEST_F(DeviceRunnerTest, E8OtherDevicesAreRefused) {
  mock_.device_name = "RyzenAI-npu4";
  EXPECT_THAT(ErrorOf(ErrorCode::kUnsupported, [&] { Open(); }),
              HasSubstr("the device is RyzenAI-npu4 (XRT 2.25), want npu1"));
}

TEST_F(DeviceRunnerTest, E8EveryStateButCompletedIsAnError) {
  for (const auto& [state, says] :
       {std::pair(RunState::kError, "ended as ERROR: the firmware refused"),
        std::pair(RunState::kTimeout, "ended as TIMEOUT: the array made no"),
        std::pair(RunState::kAbort, "ended as ABORT"),
        std::pair(RunState::kRunning, "not done after 10000 ms"),
        std::pair(RunState::kNoResponse, "does not answer")}) {
    mock_.program = [state = state](auto, auto) { return state; };
    EXPECT_THAT(RunError(), HasSubstr(says));
    EXPECT_EQ(mock_.handles, 0);
  }
}

TEST_F(DeviceRunnerTest, E8EveryCallThatFailsIsAnError) {
  Simulate(EncoderPrecision::kBF16);
  for (const char* call : {"register_xclbin", "open_context", "open_kernel",
                           "alloc", "sync", "start", "wait"}) {
    mock_.fail = {{call, "the driver said no"}};
    EXPECT_THAT(RunError(), HasSubstr("the driver said no")) << call;
    EXPECT_EQ(mock_.handles, 0) << call;
  }
  mock_.fail.clear();
  mock_.context_limit = 0;
  EXPECT_THAT(RunError({.packages = Packages(),
                        .context_wait = std::chrono::milliseconds(30)}),
              HasSubstr("no context free"));
}

}  // namespace
}  // namespace sotto::npu
