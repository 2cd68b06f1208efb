// SPDX-License-Identifier: MIT
// The host protocol against a mock that sees what a device would see.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <optional>
#include <random>
#include <thread>

#include "base/error.h"
#include "base/log.h"
#include "npu/host/context_pool.h"
#include "npu/host/mock_xrt.h"
#include "npu/host/protocol.h"
#include "npu/host/test_program.h"
#include "npu/host/xrt_device.h"

namespace sotto::npu {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;

struct Buffers {
  std::unique_ptr<HostBuffer> code, in, out;
  std::vector<HostBuffer*> data() { return {in.get(), out.get()}; }
};

Buffers MakeBuffers(Context& context, std::span<const uint32_t> words,
                    size_t bytes) {
  Buffers b;
  b.code = context.MakeBuffer(HostBuffer::Kind::kInstructions, 4 * words.size(),
                              kInstructionGroup);
  b.in = context.MakeBuffer(HostBuffer::Kind::kData, bytes, kFirstDataGroup);
  b.out =
      context.MakeBuffer(HostBuffer::Kind::kData, bytes, kFirstDataGroup + 1);
  std::memcpy(b.code->bytes().data(), words.data(), 4 * words.size());
  b.code->SyncToDevice();
  return b;
}

Image SomeImage(std::string xclbin = "a.xclbin") {
  return {std::make_shared<ArrayConfig>(), std::move(xclbin), SomeStream()};
}

// R2: what XrtDevice does passes every point of the checklist, twice in a row
// with other data, and leaves no handle behind.
TEST(Host, R2ProtocolPassesTheChecklist) {
  MockXrt mock;
  mock.program = AddOne;
  {
    XrtRecorder recorder(mock.api());
    const auto device = OpenXrtDevice(recorder.api());
    EXPECT_EQ(device->name(), "RyzenAI-npu1 (XRT 2.25)");
    const auto context = device->Open(SomeImage());
    const auto words = SomeStream();
    Buffers b = MakeBuffers(*context, words, 256);
    std::mt19937 rng(3);
    for (int round = 0; round < 2; ++round) {
      std::vector<int> want;
      for (std::byte& x : b.in->bytes()) {
        x = static_cast<std::byte>(rng());
        want.push_back((std::to_integer<int>(x) + 1) & 255);
      }
      b.in->SyncToDevice();
      b.out->SyncToDevice();
      const RunResult result =
          context->Run(*b.code, static_cast<uint32_t>(words.size()), b.data(),
                       milliseconds(2000));
      EXPECT_EQ(result.state, RunState::kCompleted);
      EXPECT_FALSE(result.modelled);
      b.out->SyncFromDevice();
      for (size_t i = 0; i < want.size(); ++i)
        ASSERT_EQ(std::to_integer<int>(b.out->bytes()[i]), want[i]);
    }
    for (const Finding& f : Audit(recorder.calls()))
      EXPECT_TRUE(f.ok) << f.id << ": " << f.detail;
    EXPECT_EQ(Audit(recorder.calls()).size(), 12u);
  }
  EXPECT_EQ(mock.handles, 0);
  EXPECT_EQ(mock.contexts, 0);
  EXPECT_EQ(mock.runs, 2);
}

// The raw calls of a host that may do any step wrong.
struct WrongHost {
  uint64_t opcode = 3;
  uint32_t code_flags = SOTTO_XRT_BO_CACHEABLE;
  int code_argument = 1;
  uint32_t data_flags = SOTTO_XRT_BO_HOST_ONLY;
  int data_argument = 3;
  bool sync_code = true, sync_in = true, sync_out = true, read = true;
  bool shifted = false;  // kernel(3, in, n, code, out)
  uint32_t extra_words = 0;
  bool bytes = false;
  unsigned timeout = 2000;

  std::vector<XrtCall> Run(MockXrt& mock) {
    XrtRecorder recorder(mock.api());
    const SottoXrtApi& api = recorder.api();
    SottoXrtError error{};
    void *device = nullptr, *xclbin = nullptr, *context = nullptr,
         *kernel = nullptr;
    api.open_device(0, &device, &error);
    api.register_xclbin(device, "a.xclbin", &xclbin, &error);
    api.open_context(device, xclbin, &context, &error);
    api.open_kernel(context, xclbin, "MLIR_AIE", &kernel, &error);
    for (int i = 1; i < 5; ++i) api.group_id(kernel, i);
    const auto words = SomeStream();
    void *code = nullptr, *in = nullptr, *out = nullptr, *mapped = nullptr;
    if (api.alloc(device, 256, code_flags, MockBank(code_argument), &code,
                  &mapped, &error) == 0)
      std::memcpy(mapped, words.data(), 4 * words.size());
    api.alloc(device, 256, data_flags, MockBank(data_argument), &in, &mapped,
              &error);
    api.alloc(device, 256, data_flags, MockBank(4), &out, &mapped, &error);
    if (sync_code) api.sync(code, SOTTO_XRT_TO_DEVICE, 256, &error);
    if (sync_in && in) api.sync(in, SOTTO_XRT_TO_DEVICE, 256, &error);
    if (sync_out && out) api.sync(out, SOTTO_XRT_TO_DEVICE, 256, &error);
    const uint32_t n = static_cast<uint32_t>(words.size()) * (bytes ? 4 : 1);
    void* data[] = {shifted ? code : in, out};
    void* run = nullptr;
    int state = 0;
    if (api.start(kernel, opcode, shifted ? in : code, n + extra_words, data, 2,
                  &run, &error) == 0) {
      api.wait(run, timeout, &state, &error);
      api.close_run(run);
    }
    if (read && out) api.sync(out, SOTTO_XRT_FROM_DEVICE, 256, &error);
    for (void* buffer : {code, in, out})
      if (buffer != nullptr) api.close_buffer(buffer);
    api.close_kernel(kernel);
    api.close_context(context);
    api.close_xclbin(xclbin);
    api.close_device(device);
    return recorder.calls();
  }
};

// R3: every point of the published checklist, broken alone, is named with cause
// and fix; and no wrong call ever ends as success with zeros.
TEST(Host, R3EachFaultIsFound) {
  struct Case {
    const char* point;
    WrongHost host;
    bool completes = false;
  };
  const Case cases[] = {
      {"opcode", {.opcode = 0}},
      {"instruction-bank", {.code_flags = SOTTO_XRT_BO_HOST_ONLY}},
      {"instruction-bank", {.code_argument = 3}},
      {"data-banks", {.data_flags = SOTTO_XRT_BO_CACHEABLE}},
      {"data-banks", {.data_argument = 1}, true},
      {"instruction-sync", {.sync_code = false}},
      {"data-sync", {.sync_in = false}, true},
      {"data-sync", {.sync_out = false}, true},
      {"read-sync", {.read = false}, true},
      {"arguments", {.shifted = true}},
      {"arguments", {.extra_words = 1}},
      {"time-out", {.timeout = 10}, true},
  };
  for (const Case& c : cases) {
    MockXrt mock;
    mock.program = AddOne;
    WrongHost host = c.host;
    const auto findings = Audit(host.Run(mock));
    bool found = false;
    bool state_ok = false;
    for (const Finding& f : findings) {
      if (f.id == "state") state_ok = f.ok;
      if (f.ok) continue;
      EXPECT_FALSE(f.cause.empty());
      EXPECT_FALSE(f.fix.empty());
      found = found || f.id == c.point;
    }
    EXPECT_TRUE(found) << c.point;
    EXPECT_EQ(state_ok, c.completes) << c.point;
  }
  MockXrt mock;
  mock.program = AddOne;
  mock.old_words = true;  // a host that passes bytes, as one project does
  for (const Finding& f : Audit(WrongHost{.bytes = true}.Run(mock))) {
    EXPECT_TRUE(f.ok) << f.id;
    if (f.id == "arguments") {
      EXPECT_THAT(f.detail, HasSubstr("bytes"));
    }
  }
}

TEST(Host, R3FailingCallsAreNamed) {
  for (const auto& [call, point] :
       std::map<std::string, std::string>{{"register_xclbin", "register"},
                                          {"open_context", "context"},
                                          {"open_kernel", "kernel"},
                                          {"wait", "state"}}) {
    MockXrt mock;
    mock.program = AddOne;
    mock.fail[call] = "it broke in " + call;
    bool found = false;
    XrtRecorder recorder(mock.api());
    try {
      const auto device = OpenXrtDevice(recorder.api());
      const auto context = device->Open(SomeImage());
      Buffers b = MakeBuffers(*context, SomeStream(), 16);
      b.in->SyncToDevice();
      b.out->SyncToDevice();
      context->Run(*b.code, static_cast<uint32_t>(SomeStream().size()),
                   b.data(), milliseconds(2000));
      ADD_FAILURE() << call;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kDevice);
      EXPECT_THAT(error.what(), HasSubstr("it broke in " + call));
    }
    for (const Finding& f : Audit(recorder.calls())) {
      if (f.id != point) continue;
      found = !f.ok;
      EXPECT_THAT(f.detail, HasSubstr("it broke in " + call));
    }
    EXPECT_TRUE(found) << point;
  }
}

TEST(Host, StatesAreSaidInWords) {
  for (const RunState state :
       {RunState::kError, RunState::kAbort, RunState::kTimeout,
        RunState::kNoResponse, RunState::kRunning}) {
    MockXrt mock;
    mock.program = [state](auto, auto) { return state; };
    const auto device = OpenXrtDevice(mock.api());
    const auto context = device->Open(SomeImage());
    Buffers b = MakeBuffers(*context, SomeStream(), 16);
    const RunResult result =
        context->Run(*b.code, static_cast<uint32_t>(SomeStream().size()),
                     b.data(), milliseconds(1000));
    EXPECT_EQ(result.state, state);
    EXPECT_FALSE(result.detail.empty());
    EXPECT_NE(Name(state), "unknown state");
  }
}

// R11: each call with its bank, where SOTTO_LOG asks for it, and only then.
TEST(Host, R11LogLevelShowsTheCalls) {
  std::vector<std::string> lines;
  SetLogSink(
      [&](LogLevel, std::string_view line) { lines.emplace_back(line); });
  const auto n_words = static_cast<uint32_t>(SomeStream().size());
  for (const LogLevel level : {LogLevel::kWarning, LogLevel::kDebug}) {
    SetLogLevel(level);
    MockXrt mock;
    mock.program = AddOne;
    const auto device = OpenXrtDevice(mock.api());
    const auto context = device->Open(SomeImage());
    Buffers b = MakeBuffers(*context, SomeStream(), 64);
    b.code->SyncToDevice();
    b.in->SyncToDevice();
    b.out->SyncToDevice();
    EXPECT_EQ(
        context->Run(*b.code, n_words, b.data(), milliseconds(1000)).state,
        RunState::kCompleted);
    if (level == LogLevel::kWarning) {
      EXPECT_THAT(lines, testing::IsEmpty());
    }
  }
  SetLogLevel(LogLevel::kWarning);
  SetLogSink({});
  for (const std::string& want :
       {std::string("register_xclbin"), std::string("hardware context"),
        fmt::format("64 bytes of data in bank {} (argument 3)", MockBank(3)),
        fmt::format("{} words, 2 buffers: COMPLETED in", n_words)})
    EXPECT_THAT(lines, testing::Contains(HasSubstr(want)));
}

TEST(Host, R2SixBuffersAreRefused) {
  MockXrt mock;
  const auto device = OpenXrtDevice(mock.api());
  const auto context = device->Open(SomeImage());
  Buffers b = MakeBuffers(*context, SomeStream(), 16);
  const std::vector<HostBuffer*> six(6, b.in.get());
  EXPECT_THROW(context->Run(*b.code, 1, six, milliseconds(1000)), Error);
  EXPECT_EQ(mock.runs, 0);
}

// R15: six contexts work side by side, the seventh waits and then gets one.
TEST(ContextPool, R15SeventhWaits) {
  MockXrt mock;
  const auto device = OpenXrtDevice(mock.api());
  {
    ContextPool pool(*device);
    std::vector<Image> images;
    for (int i = 0; i < 7; ++i)
      images.push_back(SomeImage(std::to_string(i) + ".xclbin"));
    std::vector<std::optional<ContextPool::Lease>> leases;
    for (int i = 0; i < 6; ++i)
      leases.emplace_back(pool.Acquire(images[i], milliseconds(0)));
    EXPECT_EQ(mock.contexts, 6);
    EXPECT_THROW(pool.Acquire(images[6], milliseconds(5)), Error);
    std::atomic<bool> got = false;
    std::jthread waiter([&] {
      const auto lease = pool.Acquire(images[6], milliseconds(20000));
      got = true;
    });
    std::this_thread::sleep_for(milliseconds(30));
    EXPECT_FALSE(got);
    leases[2].reset();
    waiter.join();
    EXPECT_TRUE(got);
    EXPECT_EQ(mock.contexts, 6);
    // Another user of the same image gets the idle one: none is made.
    leases[3].reset();
    const auto again = pool.Acquire(images[3], milliseconds(0));
    EXPECT_EQ(mock.contexts, 6);
  }
  EXPECT_EQ(mock.contexts, 0);
}

// Others hold five of the six: ours is one, and the next waits although the
// pool itself has room.
TEST(ContextPool, R15ContextsOfOthersAreWaitedFor) {
  MockXrt mock;
  mock.context_limit = 1;
  const auto device = OpenXrtDevice(mock.api());
  ContextPool pool(*device);
  auto first =
      std::make_optional(pool.Acquire(SomeImage("a.xclbin"), milliseconds(0)));
  try {
    pool.Acquire(SomeImage("b.xclbin"), milliseconds(40));
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("no context free after 40 ms"));
  }
  first.reset();
  pool.Acquire(SomeImage("b.xclbin"), milliseconds(1000));
}

TEST(Host, NoContextFreeInAllItsWords) {
  EXPECT_TRUE(MeansNoContextFree(
      "DRM_IOCTL_AMDXDNA_CREATE_HWCTX IOCTL failed (err=-2): No such file or "
      "directory"));
  EXPECT_TRUE(MeansNoContextFree("CREATE_HWCTX failed: -28"));
  EXPECT_FALSE(MeansNoContextFree("mmap failed (err=-11)"));
}

TEST(Host, PluginErrorsNameTheFile) {
  try {
    LoadXrtPlugin("/nowhere/libsotto_xrt.so");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUnsupported);
    EXPECT_THAT(error.what(), HasSubstr("/nowhere/libsotto_xrt.so"));
  }
  try {
    LoadXrtPlugin("libdl.so.2");
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("sotto_xrt_api"));
  }
}

}  // namespace
}  // namespace sotto::npu
