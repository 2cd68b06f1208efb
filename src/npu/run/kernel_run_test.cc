// SPDX-License-Identifier: MIT
// R4: the runner finds a wrong byte, gives right statistics, and any kernel of
// the list runs on the simulated array as it does when called.
#include "npu/run/kernel_run.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "base/error.h"
#include "npu/sim/device.h"

namespace sotto::npu {
namespace {

TEST(Statistics, AgainstTheirDefinitions) {
  std::mt19937 random(4);
  for (const int n : {1, 2, 19, 20, 21, 100}) {
    std::vector<double> values;
    for (int i = 0; i < n; ++i)
      values.push_back(static_cast<double>(random() % 1000));
    const Statistics s = StatisticsOf(values);
    double sum = 0, squares = 0;
    for (const double v : values) sum += v, squares += v * v;
    EXPECT_NEAR(s.mean, sum / n, 1e-9);
    EXPECT_NEAR(s.std * s.std, squares / n - sum / n * (sum / n), 1e-6);
    EXPECT_EQ(s.min, *std::min_element(values.begin(), values.end()));
    EXPECT_EQ(s.max, *std::max_element(values.begin(), values.end()));
    const auto within = std::count_if(values.begin(), values.end(),
                                      [&](double v) { return v <= s.p95; });
    EXPECT_GE(static_cast<double>(within), 0.95 * n);
    EXPECT_NE(std::find(values.begin(), values.end(), s.p95), values.end());
  }
}

TEST(KernelRun, R4RunsComparesAndTimes) {
  SimDevice device;
  KernelRunOptions options;
  options.design.ints = {4};
  const KernelRunResult run =
      RunKernel(device, *FindKernel("attention_64x64_v3"), options);
  EXPECT_EQ(run.device, "npu1 simulator");
  EXPECT_TRUE(run.modelled);
  EXPECT_EQ(run.compared_bytes, 4096);
  EXPECT_EQ(run.wrong_bytes, 0) << run.first_wrong;
  EXPECT_GT(run.ms.min, 0);
  EXPECT_GE(run.ms.p95, run.ms.min);
  ASSERT_TRUE(run.report.has_value());
  EXPECT_GT(run.report->cycles, 0);
}

// Ten calls of a kernel that reads and writes the same memory, on odd sizes.
TEST(KernelRun, R4SeveralCallsOfInAndOut) {
  SimDevice device;
  KernelRunOptions options;
  options.design = {.elements = {64 * 64, 64 * 64, 64 * 64},
                    .ints = {64, 64, 64, 1},
                    .calls = 3};
  options.iterations = 2;
  const KernelRunResult run =
      RunKernel(device, *FindKernel("gemm_i8"), options);
  EXPECT_EQ(run.wrong_bytes, 0) << run.first_wrong;
  EXPECT_EQ(run.compared_bytes, 3 * 4 * 64 * 64);
}

// The ladder's middle rungs: each kernel on the simulated array, byte for byte
// what it gives when called. Below stand L1 to L3 of npu/design, above L8 and
// L9 of the encoder.
void RunsAsCalled(const char* kernel, const KernelDesign& design) {
  SimDevice device;
  KernelRunOptions options;
  options.design = design;
  options.iterations = 2;
  const auto run = RunKernel(device, *FindKernel(kernel), options);
  EXPECT_EQ(run.wrong_bytes, 0) << kernel << ": " << run.first_wrong;
  EXPECT_GT(run.compared_bytes, 0);
}

TEST(KernelRun, L4LayerNorm) {
  RunsAsCalled("layer_norm_bf16",
               {.elements = {8 * 512, 2 * 512, 8 * 512}, .ints = {8, 512}});
}
TEST(KernelRun, L5Softmax) {
  RunsAsCalled("softmax_bf16", {.elements = {1504, 1504}, .ints = {1500}});
}
TEST(KernelRun, L6Gelu) {
  RunsAsCalled("gelu_bf16", {.elements = {2048, 2048}, .ints = {2048}});
}
TEST(KernelRun, L7Attention) {
  RunsAsCalled("attention_64x64_v3", {.ints = {3}, .calls = 4});
}

// K1: four calls and more of each run, ping and pong alike, give the same.
TEST(KernelRun, K1Attention16OnTheArray) {
  for (const int shift : {0, 2, 4})
    RunsAsCalled("attention_16x16", {.ints = {shift}, .calls = 4});
}

// A device that breaks one byte of everything that comes back.
class BrokenBuffer : public HostBuffer {
 public:
  explicit BrokenBuffer(std::unique_ptr<HostBuffer> b) : inner(std::move(b)) {}
  std::span<std::byte> bytes() override { return inner->bytes(); }
  void SyncToDevice() override { inner->SyncToDevice(); }
  void SyncFromDevice() override {
    inner->SyncFromDevice();
    bytes()[bytes().size() / 2] ^= std::byte{1};
  }
  std::unique_ptr<HostBuffer> inner;
};

class BrokenContext : public Context {
 public:
  explicit BrokenContext(std::unique_ptr<Context> c) : inner_(std::move(c)) {}
  std::unique_ptr<HostBuffer> MakeBuffer(HostBuffer::Kind kind, size_t bytes,
                                         int group) override {
    return std::make_unique<BrokenBuffer>(
        inner_->MakeBuffer(kind, bytes, group));
  }
  RunResult Run(HostBuffer& code, uint32_t words,
                std::span<HostBuffer* const> data,
                std::chrono::milliseconds timeout) override {
    std::vector<HostBuffer*> inner;
    for (HostBuffer* b : data) inner.push_back(Inner(*b));
    return inner_->Run(*Inner(code), words, inner, timeout);
  }

 private:
  static HostBuffer* Inner(HostBuffer& b) {
    return dynamic_cast<BrokenBuffer&>(b).inner.get();
  }
  std::unique_ptr<Context> inner_;
};

class BrokenDevice : public Device {
 public:
  std::string name() const override { return "broken"; }
  bool simulated() const override { return true; }
  std::unique_ptr<Context> Open(const Image& image) override {
    return std::make_unique<BrokenContext>(sim_.Open(image));
  }

 private:
  SimDevice sim_;
};

TEST(KernelRun, R4AWrongByteIsFound) {
  BrokenDevice device;
  KernelRunOptions options;
  options.warm_up = 1;
  options.iterations = 2;
  const KernelRunResult run =
      RunKernel(device, *FindKernel("passthrough_u8"), options);
  EXPECT_EQ(run.wrong_bytes, 3);  // one in each run
  EXPECT_THAT(run.first_wrong, testing::StartsWith("out byte 1024 is 0x"));
}

TEST(KernelRun, NotCompletedIsAnError) {
  class NeverDone : public Device {
    std::string name() const override { return "nothing"; }
    bool simulated() const override { return true; }
    std::unique_ptr<Context> Open(const Image&) override {
      Fail(ErrorCode::kDevice, "npu: no context free");
    }
  };
  NeverDone device;
  EXPECT_THROW(RunKernel(device, *FindKernel("passthrough_u8"), {}), Error);
  SimDevice sim;
  KernelRunOptions none;
  none.iterations = 0;
  EXPECT_THROW(RunKernel(sim, *FindKernel("passthrough_u8"), none), Error);
}

}  // namespace
}  // namespace sotto::npu
