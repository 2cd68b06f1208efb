// SPDX-License-Identifier: MIT
// The published single-tile form end to end, through the device's interface.
#include "npu/sim/device.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include <algorithm>
#include <cstring>
#include <random>

#include "base/error.h"
#include "npu/sim/test_arrays.h"

namespace sotto::npu {
namespace {

using namespace testing;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

using Ints8 = std::vector<int8_t>;
constexpr int64_t kIn = 12288;
constexpr int64_t kOut = 4096;

// NumPy's seed 42: three draws of randint(-64, 64, 4096), four values from each
// 32-bit output.
Ints8 GoldenInput() {
  std::mt19937 random(42);
  Ints8 values;
  for (int i = 0; i < 3 * 1024; ++i) {
    const auto word = static_cast<uint32_t>(random());
    for (int shift = 0; shift < 32; shift += 8) {
      values.push_back(static_cast<int8_t>((word >> shift & 0x7F) - 64));
    }
  }
  return values;
}

uint32_t Crc(const Ints8& values) {
  return static_cast<uint32_t>(
      crc32(0, reinterpret_cast<const Bytef*>(values.data()),
            static_cast<uInt>(values.size())));
}

Image AttentionImage(const std::string& kernel, int64_t stack_bytes) {
  auto config = SingleTileArray(kernel, kIn, kOut, {ConstantArg(4)});
  if (stack_bytes != kDefaultStackBytes) {
    // A sound design: the stack behind the buffers.
    TileConfig& tile = config->tiles[{0, 2}];
    tile.stack_address = 0x9000;
    tile.stack_bytes = stack_bytes;
  }
  return {.config = config,
          .instructions = Encode(SingleTileStream(kIn, kOut))};
}

// A host as the published one: instructions in group 1, data in 3 and 4.
class Host {
 public:
  Host(Device& device, const Image& image)
      : context_(device.Open(image)),
        words_(static_cast<uint32_t>(image.instructions.size())),
        instructions_(context_->MakeBuffer(HostBuffer::Kind::kInstructions,
                                           4 * image.instructions.size(), 1)),
        in_(context_->MakeBuffer(HostBuffer::Kind::kData, kIn, 3)),
        out_(context_->MakeBuffer(HostBuffer::Kind::kData, kOut, 4)) {
    std::memcpy(instructions_->bytes().data(), image.instructions.data(),
                4 * image.instructions.size());
    instructions_->SyncToDevice();
  }

  RunResult Run(const Ints8& in, Ints8* out) {
    std::memcpy(in_->bytes().data(), in.data(), in.size());
    in_->SyncToDevice();
    HostBuffer* data[] = {in_.get(), out_.get()};
    const RunResult result = context_->Run(*instructions_, words_, data,
                                           std::chrono::milliseconds(1000));
    out_->SyncFromDevice();
    out->resize(static_cast<size_t>(kOut));
    std::memcpy(out->data(), out_->bytes().data(), out->size());
    return result;
  }

  Context& context() { return *context_; }
  HostBuffer& instructions() { return *instructions_; }
  HostBuffer& in() { return *in_; }
  HostBuffer& out() { return *out_; }
  uint32_t words() const { return words_; }

 private:
  std::unique_ptr<Context> context_;
  uint32_t words_;
  std::unique_ptr<HostBuffer> instructions_;
  std::unique_ptr<HostBuffer> in_;
  std::unique_ptr<HostBuffer> out_;
};

TEST(SimDevice, R1TheStreamIsThePublishedOne) {
  const auto words = Encode(SingleTileStream(kIn, kOut));
  EXPECT_EQ(4 * words.size(), 300U);
}

// With its 1 KB stack at 0 the published kernel's locals run over the first
// input buffer while it works: odd calls (ping) give what the page measured,
// even ones (pong) what the kernel means.
TEST(SimDevice, K4N2ReproducesThePublishedRun) {
  SimOptions options;
  options.corrupting_stack = true;
  SimDevice device(options);
  Host host(device, AttentionImage("attention_64x64_v0", kDefaultStackBytes));
  Ints8 ping;
  for (int call = 0; call < 4; ++call) {
    Ints8 out;
    const RunResult result = host.Run(GoldenInput(), &out);
    ASSERT_EQ(result.state, RunState::kCompleted) << result.detail;
    if (call % 2 == 1) {
      EXPECT_EQ(Crc(out), 0xe0850c56U) << "call " << call;
      continue;
    }
    if (call == 0) ping = out;
    EXPECT_EQ(out, ping);
    EXPECT_THAT(Ints8(out.begin(), out.begin() + 8),
                ElementsAre(3, -6, -1, 3, -4, -1, 8, -8));
    EXPECT_EQ(*std::min_element(out.begin(), out.end()), -15);
    EXPECT_EQ(*std::max_element(out.begin(), out.end()), 14);
    EXPECT_EQ(out.size() - static_cast<size_t>(
                               std::count(out.begin(), out.end(), int8_t{0})),
              3730U);
    EXPECT_NE(Crc(out), 0xe0850c56U);
  }
}

// v3 likewise: the second of a pair of calls is the clean one.
TEST(SimDevice, K4LaterVersionAlternatesToo) {
  SimOptions options;
  options.corrupting_stack = true;
  SimDevice device(options);
  Host host(device, AttentionImage("attention_64x64_v3", kDefaultStackBytes));
  Ints8 ping;
  Ints8 pong;
  ASSERT_EQ(host.Run(GoldenInput(), &ping).state, RunState::kCompleted);
  ASSERT_EQ(host.Run(GoldenInput(), &pong).state, RunState::kCompleted);
  EXPECT_NE(Crc(ping), 0xf3f60bb1U);
  EXPECT_EQ(Crc(pong), 0xf3f60bb1U);
}

TEST(SimDevice, K4TheOverflowIsDetected) {
  SimDevice device;
  Host host(device, AttentionImage("attention_64x64_v0", kDefaultStackBytes));
  Ints8 out;
  const RunResult result = host.Run(GoldenInput(), &out);
  EXPECT_EQ(result.state, RunState::kError);
  EXPECT_EQ(result.detail,
            "(0,2): kernel attention_64x64_v0 needs 4544 bytes of stack, 4448 "
            "of them its frame; the stack at 0x0 has 1024");
}

// With a stack that holds the frame every call is the clean one.
TEST(SimDevice, K4EnoughStackGivesTheCleanResultEveryTime) {
  for (const bool corrupting : {false, true}) {
    SimOptions options;
    options.corrupting_stack = corrupting;
    SimDevice device(options);
    Host host(device, AttentionImage("attention_64x64_v3", 4608));
    for (int call = 0; call < 4; ++call) {
      Ints8 out;
      const RunResult result = host.Run(GoldenInput(), &out);
      ASSERT_EQ(result.state, RunState::kCompleted) << result.detail;
      EXPECT_EQ(Crc(out), 0xf3f60bb1U) << "call " << call;
      EXPECT_TRUE(result.modelled);
      EXPECT_GT(result.time.cycles, 0);
    }
  }
}

// R2: a buffer in the wrong place is an error, never silent zeros.
TEST(SimDevice, R2WrongArgumentsGiveTheErrorState) {
  SimDevice device;
  const Image image = AttentionImage("attention_64x64_v3", 4608);
  Host host(device, image);
  const auto run = [&](HostBuffer& instructions, uint32_t words,
                       std::vector<HostBuffer*> data) {
    return host.context().Run(instructions, words, data,
                              std::chrono::milliseconds(1000));
  };
  const auto refused = [](const RunResult& result, const char* want) {
    EXPECT_EQ(result.state, RunState::kError);
    EXPECT_THAT(result.detail, HasSubstr(want));
  };
  refused(run(host.in(), host.words(), {&host.in(), &host.out()}),
          "a data buffer is in the place of the instruction buffer");
  refused(run(host.instructions(), host.words(),
              {&host.instructions(), &host.in()}),
          "data buffer 0: is an instruction buffer");
  refused(run(host.instructions(), 7, {&host.in(), &host.out()}),
          "7 words were announced, the stream has 75");
  refused(run(host.instructions(), host.words(), {&host.in()}),
          "1 host buffers, attention_64x64_v3 wants 2");
  const std::vector<HostBuffer*> six(6, &host.in());
  refused(run(host.instructions(), host.words(), six),
          "6 host buffers, a kernel takes at most 5");
  refused(run(host.instructions(), host.words(), {&host.out(), &host.out()}),
          "host buffer 0 has 4096 bytes, attention_64x64_v3 wants 12288");
  const auto fresh =
      host.context().MakeBuffer(HostBuffer::Kind::kInstructions, 300, 1);
  refused(run(*fresh, host.words(), {&host.in(), &host.out()}), "never synced");
  fresh->SyncToDevice();
  refused(run(*fresh, host.words(), {&host.in(), &host.out()}),
          "75 words were announced, the stream has 0");
  const auto bank = host.context().MakeBuffer(HostBuffer::Kind::kData, kIn, 1);
  refused(run(host.instructions(), host.words(), {bank.get(), &host.out()}),
          "data buffer 0: is in memory group 1, want 3 or more");
  // The published host announces bytes; that is accepted.
  EXPECT_EQ(
      run(host.instructions(), 4 * host.words(), {&host.in(), &host.out()})
          .state,
      RunState::kCompleted);
}

// What was never synced reads as 0xFF, like unmapped memory: the published
// kernel then gives -1 everywhere.
TEST(SimDevice, R2AForgottenSyncShows) {
  SimDevice device;
  Host host(device, AttentionImage("attention_64x64_v0", 4608));
  HostBuffer* data[] = {&host.in(), &host.out()};
  const RunResult result = host.context().Run(
      host.instructions(), host.words(), data, std::chrono::milliseconds(1000));
  ASSERT_EQ(result.state, RunState::kCompleted) << result.detail;
  host.out().SyncFromDevice();
  for (const std::byte b : host.out().bytes()) {
    ASSERT_EQ(static_cast<int8_t>(b), -1);
  }
}

TEST(SimDevice, TimeOutIsAState) {
  SimDevice device;
  const Image image = AttentionImage("attention_64x64_v3", 4608);
  Host host(device, image);
  HostBuffer* data[] = {&host.in(), &host.out()};
  // The kernel takes about two milliseconds.
  const RunResult result = host.context().Run(
      host.instructions(), host.words(), data, std::chrono::milliseconds(1));
  EXPECT_EQ(result.state, RunState::kTimeout);
  EXPECT_THAT(result.detail, HasSubstr("still running after 1000000 cycles"));
}

TEST(SimDevice, R15TheSeventhContextIsRefused) {
  SimDevice device;
  const Image image = AttentionImage("attention_64x64_v3", 4608);
  std::vector<std::unique_ptr<Context>> contexts;
  for (int i = 0; i < kMaxContexts; ++i) {
    contexts.push_back(device.Open(image));
  }
  try {
    device.Open(image);
    FAIL() << "a seventh context was given";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kDevice);
    EXPECT_THAT(error.what(), HasSubstr("no context free"));
  }
  contexts.pop_back();
  EXPECT_NE(device.Open(image), nullptr);
  EXPECT_EQ(device.open_contexts(), kMaxContexts - 1);
}

TEST(SimDevice, AnImageWithoutConfigurationIsRefused) {
  SimDevice device;
  EXPECT_THROW(device.Open({.xclbin_path = "a.xclbin"}), Error);
}

}  // namespace
}  // namespace sotto::npu
