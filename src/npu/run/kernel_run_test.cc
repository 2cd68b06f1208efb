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
#include "npu/design/kernel_sizes.h"
#include "npu/sim/device.h"
#include "tensor/buffer.h"

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

// With the ints that are usual where nobody says others.
TEST(KernelRun, R4EveryKernelRuns) {
  for (const KernelInfo& kernel : Kernels())
    RunsAsCalled(std::string(kernel.name).c_str(), {});
}

// Sizes are what a kernel touches: what lies beside its buffers neither changes
// nor changes anything.
TEST(KernelRun, KernelsStayInsideTheirSizes) {
  constexpr size_t kBeside = 4096;
  for (const KernelInfo& kernel : Kernels()) {
    SCOPED_TRACE(kernel.name);
    EXPECT_EQ(static_cast<size_t>(std::count_if(
                  kernel.args.begin(), kernel.args.end(),
                  [](auto& a) { return a.kind == KernelArg::Kind::kInt; })),
              IntsOf(kernel).size());
    const std::vector<int32_t> ints = WholeInts(kernel, {});
    const auto buffers = BuffersOf(kernel, {});
    std::vector<std::vector<std::byte>> results;
    for (const std::byte beside : {std::byte{0x00}, std::byte{0x3F}}) {
      std::mt19937 random(5);
      std::vector<sotto::Buffer> memory;
      std::vector<std::byte*> pointers;
      for (const KernelBuffer& b : buffers) {
        auto bytes =
            memory.emplace_back(static_cast<size_t>(b.bytes) + 2 * kBeside)
                .bytes();
        std::fill(bytes.begin(), bytes.end(), beside);
        pointers.push_back(bytes.data() + kBeside);
        // bf16 and f32 that are no infinities, shifts below 32.
        for (int64_t i = 0; i < b.bytes; ++i)
          pointers.back()[i] = static_cast<std::byte>(random() % 32);
      }
      kernel.call({.pointers = pointers, .ints = ints});
      std::vector<std::byte> result;
      for (size_t i = 0; i < buffers.size(); ++i) {
        const auto bytes = memory[i].bytes();
        const auto inside = static_cast<size_t>(buffers[i].bytes);
        const auto kept = [beside](std::byte b) { return b == beside; };
        EXPECT_TRUE(std::all_of(bytes.begin(), bytes.begin() + kBeside, kept))
            << i;
        EXPECT_TRUE(std::all_of(pointers[i] + inside,
                                bytes.data() + bytes.size(), kept))
            << i;
        result.insert(result.end(), pointers[i], pointers[i] + inside);
      }
      results.push_back(std::move(result));
    }
    EXPECT_EQ(results[0], results[1]);
  }
}

TEST(KernelRun, SizesAndIntsThatDoNotFitAreRefused) {
  const auto refused = [](const char* kernel, const KernelDesign& design,
                          const char* why) {
    try {
      RunsAsCalled(kernel, design);
      ADD_FAILURE() << kernel << " " << why;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kBadInput);
      EXPECT_THAT(error.what(), testing::HasSubstr(why));
    }
  };
  refused("gemm_i8", {.ints = {63, 64, 64, 0}},
          "gemm_i8: m is 63, want a multiple of 8");
  refused("gemm_i8", {.ints = {0, 64, 64, 0}}, "m is 0, want 8 to");
  refused("gemm_i8", {.ints = {64, 64, 64, 0, 1}}, "takes 4 ints, not 5");
  refused("gelu_bf16", {.elements = {2048, 64}, .ints = {128}},
          "gelu_bf16: 64 elements, its ints 128 want 128");
  refused("gelu_bf16", {.elements = {64, 64, 64}}, "leaves 2 sizes open");
  refused("attention_64x64_v3", {.ints = {32}}, "shift is 32, want 0 to 31");
  refused("gemm_bf16", {.ints = {512, 512, 512, 0}}, "bytes");
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
