// SPDX-License-Identifier: MIT
// The NPU without XRT, against a driver as strict as the kernel's.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <random>
#include <thread>

#include "base/error.h"
#include "base/file.h"
#include "base/test_folder.h"
#include "npu/host/context_pool.h"
#include "npu/host/fake_amdxdna.h"
#include "npu/host/raw_device.h"
#include "npu/host/test_program.h"
#include "npu/host/test_xclbin.h"
#include "npu/host/this_npu.h"

namespace sotto::npu {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;

class Raw : public testing::Test {
 protected:
  void SetUp() override {
    path_ = (folder_ / "raw.xclbin").string();
    Write({});
    fake_.program = AddOne;
  }
  // Nothing may be left behind, whatever went wrong.
  void TearDown() override {
    EXPECT_EQ(fake_.nodes, 0);
    EXPECT_EQ(fake_.contexts, 0);
    EXPECT_EQ(fake_.timelines, 0);
    EXPECT_EQ(fake_.buffers, 0);
    EXPECT_EQ(fake_.mappings, 0);
  }
  void Write(const TestXclbin& xclbin) {
    const std::vector<std::byte> bytes = xclbin.Bytes();
    WriteFileAtomic(
        path_, {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  }
  Image SomeImage() const {
    return {std::make_shared<ArrayConfig>(), path_, SomeStream()};
  }
  std::unique_ptr<Device> Open() { return OpenRawDevice(fake_.Open()); }

  // Why opening a device and a context on it fails; empty where it does not.
  std::string Refusal() {
    try {
      Open()->Open(SomeImage());
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kDevice);
      return error.what();
    }
    return "";
  }

  struct Run {
    std::unique_ptr<HostBuffer> code, in, out;
    bool sync_code = true, sync_in = true;
    uint32_t extra_words = 0;
  };
  // Runs AddOne once on random bytes.
  RunResult Once(Context& context, Run& run, unsigned seed = 1) {
    const auto words = SomeStream();
    constexpr size_t kBytes = 5000;  // no whole page
    run.code = context.MakeBuffer(HostBuffer::Kind::kInstructions,
                                  4 * words.size(), kInstructionGroup);
    run.in =
        context.MakeBuffer(HostBuffer::Kind::kData, kBytes, kFirstDataGroup);
    run.out = context.MakeBuffer(HostBuffer::Kind::kData, kBytes,
                                 kFirstDataGroup + 1);
    EXPECT_EQ(run.in->bytes().size(), kBytes);
    std::memcpy(run.code->bytes().data(), words.data(), 4 * words.size());
    if (run.sync_code) run.code->SyncToDevice();
    std::mt19937 rng(seed);
    for (std::byte& x : run.in->bytes()) x = static_cast<std::byte>(rng());
    if (run.sync_in) run.in->SyncToDevice();
    HostBuffer* const data[] = {run.in.get(), run.out.get()};
    return context.Run(*run.code,
                       static_cast<uint32_t>(words.size()) + run.extra_words,
                       data, milliseconds(2000));
  }
  static int Wrong(const Run& run) {
    int wrong = 0;
    for (size_t i = 0; i < run.in->bytes().size(); ++i)
      wrong += ((std::to_integer<int>(run.in->bytes()[i]) + 1) & 255) !=
               std::to_integer<int>(run.out->bytes()[i]);
    return wrong;
  }

  FakeAmdxdna fake_;
  TestFolder folder_;
  std::string path_;
};

// As every program that asks drm for these has them (strace of Linux drivers).
TEST(RawNumbers, AreTheKernels) {
  EXPECT_EQ(amdxdna::kVersion, 0xC0406400u);
  EXPECT_EQ(amdxdna::kCloseBo, 0x40086409u);
  EXPECT_EQ(amdxdna::kDestroySyncobj, 0xC00864C0u);
  EXPECT_EQ(amdxdna::kTimelineWait, 0xC02864CAu);
  // Both ways, 'd', the size, 0x40 and the place in the kernel's list.
  EXPECT_EQ(amdxdna::kCreateContext, 0xC0386440u);
  EXPECT_EQ(amdxdna::kExecCommand, 0xC0386446u);
  EXPECT_EQ(amdxdna::kGetInfo, 0xC0106447u);
}

TEST_F(Raw, RunsAProgramTwice) {
  const auto device = Open();
  EXPECT_EQ(device->name(),
            "npu1 (amdxdna 0.6, firmware 1.5.5.391, without XRT)");
  EXPECT_FALSE(device->simulated());
  const auto context = device->Open(SomeImage());
  EXPECT_EQ(fake_.tiles, 16u);  // four columns of four
  const TestXclbin xclbin;
  ASSERT_GE(fake_.pdi.size(), xclbin.pdi.size());
  EXPECT_TRUE(
      std::equal(xclbin.pdi.begin(), xclbin.pdi.end(), fake_.pdi.begin()));
  for (const unsigned seed : {1U, 2U}) {
    Run run;
    const RunResult result = Once(*context, run, seed);
    EXPECT_EQ(result.state, RunState::kCompleted);
    EXPECT_EQ(result.detail, "");
    EXPECT_FALSE(result.modelled);
    EXPECT_GT(Wrong(run), 4000);  // not before it is synced
    run.out->SyncFromDevice();
    EXPECT_EQ(Wrong(run), 0);
  }
  EXPECT_EQ(fake_.runs, 2);
}

TEST_F(Raw, AForgottenSyncIsNoResult) {
  const auto device = Open();
  const auto context = device->Open(SomeImage());
  Run run{.sync_code = false};
  RunResult result = Once(*context, run);
  EXPECT_EQ(result.state, RunState::kError);
  EXPECT_THAT(result.detail, HasSubstr("refused"));
  Run longer{.extra_words = 1};
  EXPECT_EQ(Once(*context, longer).state, RunState::kError);
  Run stale{.sync_in = false};
  EXPECT_EQ(Once(*context, stale).state, RunState::kCompleted);
  stale.out->SyncFromDevice();
  EXPECT_GT(Wrong(stale), 4000);
}

TEST_F(Raw, EndsThatAreNone) {
  const auto device = Open();
  const auto context = device->Open(SomeImage());
  fake_.program = nullptr;
  Run run;
  const RunResult result = Once(*context, run);
  EXPECT_EQ(result.state, RunState::kNew);
  EXPECT_EQ(result.detail, "not done after 2000 ms");
  // The driver ends it after a minute and writes no state.
  fake_.gives_up = true;
  Run again;
  EXPECT_EQ(Once(*context, again).state, RunState::kTimeout);
  // What the firmware says comes through.
  for (const RunState state : {RunState::kError, RunState::kAbort}) {
    fake_.program = [state](auto, auto) { return state; };
    Run refused;
    const RunResult bad = Once(*context, refused);
    EXPECT_EQ(bad.state, state);
    EXPECT_NE(bad.detail, "");
  }
}

TEST_F(Raw, TheSeventhContextWaits) {
  const auto device = Open();
  for (const int error : {EBUSY, ENOSPC, EINVAL}) {
    fake_.full_errno = error;
    std::vector<std::unique_ptr<Context>> six;
    for (int i = 0; i < 6; ++i) six.push_back(device->Open(SomeImage()));
    try {
      device->Open(SomeImage());
      FAIL();
    } catch (const Error& refused) {
      EXPECT_THAT(refused.what(), HasSubstr("no context free"));
      EXPECT_THAT(refused.what(), HasSubstr(std::strerror(error)));
      EXPECT_THAT(refused.what(), HasSubstr("held by process 100"));
    }
  }
  // Others may hold them; who does is said.
  fake_.others = {7, 9, 7, 9, 8, 7};
  EXPECT_THAT(Refusal(), HasSubstr("held by process 7, 8, 9"));
  fake_.others = {};
  // The number for a full device has other causes too.
  fake_.full_errno = EINVAL;
  fake_.context_limit = 0;
  EXPECT_THAT(Refusal(), HasSubstr("hardware context: Invalid argument"));
  // The pool asks again until one of another process's is given back.
  fake_.full_errno = EBUSY;
  fake_.context_limit = 0;
  ContextPool pool(*device);
  EXPECT_THROW(pool.Acquire(SomeImage(), milliseconds(50)), Error);
  fake_.context_limit = 1;
  Run run;
  {
    const auto lease = pool.Acquire(SomeImage(), milliseconds(50));
    EXPECT_EQ(Once(*lease, run).state, RunState::kCompleted);
    run = {};
  }
}

TEST_F(Raw, EveryRefusalHasItsLine) {
  const struct {
    unsigned long request;
    int error;
    const char* says;
  } cases[] = {
      {amdxdna::kVersion, EACCES, "driver version: Permission denied"},
      {amdxdna::kGetInfo, EOPNOTSUPP, "metadata: Operation not supported"},
      {amdxdna::kCreateBo, ENOMEM, "device heap: Cannot allocate memory"},
      {amdxdna::kBoInfo, ENOENT, "device heap: No such file"},
      {amdxdna::kSyncBo, EINVAL, "sync: Invalid argument"},
      {amdxdna::kCreateContext, ENODEV, "hardware context: No such device"},
      {amdxdna::kConfigContext, EIO, "configuration: Input/output error"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.says);
    fake_.fail = {{c.request, c.error}};
    EXPECT_THAT(Refusal(), HasSubstr(c.says));
    fake_.fail.clear();
    EXPECT_EQ(fake_.buffers + fake_.contexts + fake_.mappings, 0);
  }
  fake_.no_memory = true;
  EXPECT_THAT(Refusal(), HasSubstr("device heap: its memory cannot be mapped"));
  fake_.no_memory = false;
  fake_.driver = "ivpu";
  EXPECT_THAT(Refusal(), HasSubstr("of driver 'ivpu', want amdxdna"));
  fake_.driver = "amdxdna";
  fake_.columns = 8;
  EXPECT_THAT(Refusal(),
              HasSubstr("8 columns with 4 cores each, want npu1's 5"));
  fake_.columns = 5;
  EXPECT_EQ(Refusal(), "");
}

TEST_F(Raw, RefusalsOfARun) {
  const auto device = Open();
  const auto context = device->Open(SomeImage());
  for (const auto& [request, says] :
       {std::pair{amdxdna::kExecCommand, "start: Input/output error"},
        std::pair{amdxdna::kTimelineWait, "wait: Input/output error"}}) {
    fake_.fail = {{request, EIO}};
    Run run;
    try {
      Once(*context, run);
      FAIL();
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), HasSubstr(says));
    }
    fake_.fail.clear();
  }
  // Buffers of the wrong kind, too many of them, none at all.
  const auto make = [&](HostBuffer::Kind kind, size_t bytes, int group) {
    return context->MakeBuffer(kind, bytes, group);
  };
  EXPECT_THROW(make(HostBuffer::Kind::kInstructions, 64, 3), Error);
  EXPECT_THROW(make(HostBuffer::Kind::kData, 64, 1), Error);
  EXPECT_THROW(make(HostBuffer::Kind::kData, 0, 3), Error);
  const auto code = make(HostBuffer::Kind::kInstructions, 64, 1);
  const auto one = make(HostBuffer::Kind::kData, 64, 3);
  const std::vector<HostBuffer*> eight(8, one.get());
  try {
    context->Run(*code, 4, eight, milliseconds(0));
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("8 data buffers"));
    EXPECT_THAT(error.what(), HasSubstr("room for 7"));
  }
  // Data where code should be: the firmware finds no instructions there.
  HostBuffer* const swapped[] = {code.get()};
  EXPECT_EQ(context->Run(*one, 4, swapped, milliseconds(0)).state,
            RunState::kError);
  // More than the heap holds.
  EXPECT_THROW(make(HostBuffer::Kind::kInstructions, 65 << 20, 1), Error);
}

TEST_F(Raw, WantsAnXclbinThatFits) {
  const auto says = [&](const Image& image) -> std::string {
    try {
      Open()->Open(image);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kDevice);
      return error.what();
    }
    return "";
  };
  Image none = SomeImage();
  none.xclbin_path = "";
  EXPECT_THAT(says(none), HasSubstr("sotto npu build"));
  none.xclbin_path = (folder_ / "nowhere.xclbin").string();
  EXPECT_THAT(says(none), HasSubstr("nowhere.xclbin"));
  Write({.columns = 5});
  EXPECT_THAT(says(SomeImage()), HasSubstr("takes 5 columns, npu1 gives 4"));
  Write({.kernel = "DPU_1"});
  EXPECT_THAT(says(SomeImage()), HasSubstr("only: DPU_1"));
}

TEST_F(Raw, DoctorTriesIt) {
  const Finding good = ExamineRaw(fake_.Open());
  EXPECT_TRUE(good.ok);
  EXPECT_EQ(good.id, "raw-driver");
  EXPECT_THAT(good.detail, HasSubstr("without XRT"));
  fake_.driver = "ivpu";
  const Finding bad = ExamineRaw(fake_.Open());
  EXPECT_FALSE(bad.ok);
  EXPECT_NE(bad.cause, "");
  EXPECT_NE(bad.fix, "");
}

// Without XRT the driver is enough, and the other way round.
TEST(EitherWay, OneIsEnough) {
  const Finding no_xrt = Bad("xrt", "not built", "no XRT", "install it");
  const Finding no_raw = Bad("raw-driver", "EIO", "no answer", "look");
  const auto ok = [](const std::vector<Finding>& found) {
    return std::vector<bool>{found[0].ok, found[1].ok};
  };
  using Both = std::vector<bool>;
  const auto instead = EitherWay(no_xrt, Ok("raw-driver", "npu1"));
  EXPECT_EQ(ok(instead), (Both{true, true}));
  EXPECT_TRUE(instead[0].skipped);
  EXPECT_THAT(instead[0].detail, HasSubstr("without it"));
  EXPECT_EQ(ok(EitherWay(no_xrt, no_raw)), (Both{false, false}));
  EXPECT_EQ(ok(EitherWay(no_xrt, Skipped("raw-driver", "no node"))),
            (Both{false, true}));
  EXPECT_EQ(ok(EitherWay(Ok("xrt", "2.25"), Ok("raw-driver", "npu1"))),
            (Both{true, true}));
}

// The real system calls, on a file in place of a node.
TEST(Node, MapsAlignedAndShared) {
  const TestFolder folder;
  const std::string path =
      folder.Write("node", std::string(size_t{1} << 20, 'x')).string();
  const auto node = OpenNode(path);
  constexpr size_t kAlign = 64 << 20;
  std::byte* const at = node->Map(8192, 4096, kAlign);
  ASSERT_NE(at, nullptr);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(at) % kAlign, 0u);
  at[1] = std::byte{'y'};
  EXPECT_EQ(ReadFile(path)[4097], 'y');
  node->Unmap(at, 8192);
  std::byte* const anywhere = node->Map(4096, 0, 0);
  ASSERT_NE(anywhere, nullptr);
  EXPECT_EQ(anywhere[0], std::byte{'x'});
  node->Unmap(anywhere, 4096);
  EXPECT_EQ(node->Map(4096, 123, 0), nullptr);
  EXPECT_EQ(node->Map(4096, 123, kAlign), nullptr);
  amdxdna::GetInfo get{};
  EXPECT_EQ(node->Call(amdxdna::kGetInfo, &get), ENOTTY);
  EXPECT_THROW(OpenNode((folder / "no_such_node").string()), Error);
}

}  // namespace
}  // namespace sotto::npu
