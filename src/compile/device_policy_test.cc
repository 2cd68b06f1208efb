// SPDX-License-Identifier: MIT
// rlx.md section 6, rows 18 to 21, and its section 3.
#include "compile/device_policy.h"

#include <gtest/gtest.h>

#include <cmath>
#include <thread>

namespace sotto {
namespace {

// A device that passed everywhere.
std::vector<ParityRecord> Passed(const std::string& device) {
  std::vector<ParityRecord> records;
  for (const Stage stage : kStages)
    records.push_back({.device = device, .stage = stage, .max_abs = 1e-4});
  return records;
}

TEST(Rlx, Row20TruthTable) {
  struct Want {
    std::string device, encoder, decoder, align;
    bool resident;
  };
  const Want table[] = {
      {"cpu", "cpu", "cpu", "cpu", false},
      {"metal", "metal", "cpu", "metal", false},
      {"mlx", "cpu", "cpu", "cpu", false},
      {"vulkan", "vulkan", "cpu", "cpu", false},
      {"cuda", "cuda", "cuda", "cuda", true},
      {"rocm", "rocm", "rocm", "cpu", true},
      {"gpu", "gpu", "gpu", "gpu", true},
      {"ane", "ane", "ane", "cpu", false},
      {"npu", "npu", "npu", "cpu", false},
  };
  for (const Want& want : table) {
    const std::vector<ParityRecord> records = Passed(want.device);
    const DeviceRequest request = {.device = want.device, .records = records};
    EXPECT_EQ(DeviceFor(request, Stage::kEncoder).device, want.encoder);
    for (const Stage stage : {Stage::kCrossKv, Stage::kPrefill, Stage::kDecode})
      EXPECT_EQ(DeviceFor(request, stage).device, want.decoder) << want.device;
    EXPECT_EQ(RowOf(want.device).align, want.align);
    EXPECT_EQ(KeepsKvResident(request), want.resident) << want.device;
  }
}

TEST(Rlx, Row20WhoCanKeepKv) {
  for (const char* device : {"mlx", "metal", "cuda", "rocm", "gpu", "vulkan"})
    EXPECT_TRUE(RowOf(device).resident_kv) << device;
  for (const char* device : {"cpu", "ane", "npu"})
    EXPECT_FALSE(RowOf(device).resident_kv) << device;
}

TEST(Rlx, Row20ParityGate) {
  std::vector<ParityRecord> records = Passed("cuda");
  const auto choice = [&] {
    return DeviceFor({.device = "cuda", .records = records}, Stage::kDecode);
  };
  EXPECT_EQ(choice().device, "cuda");
  EXPECT_EQ(choice().reason, "");
  records[3].max_abs = 0.5;
  EXPECT_EQ(choice().device, "cpu");
  EXPECT_EQ(choice().reason,
            "cuda differs from the CPU by 0.5 in decode, want 0.01 at most");
  EXPECT_FALSE(KeepsKvResident({.device = "cuda", .records = records}));
  records[3].max_abs = std::nan("");
  EXPECT_EQ(choice().device, "cpu");
  records[3].max_abs = 0;
  records[3].argmax_agreement = 0.9;
  EXPECT_EQ(choice().reason,
            "cuda chooses the CPU's token in 0.9 of decode steps only, want "
            "0.999");
  records.pop_back();
  EXPECT_EQ(choice().reason, "cuda has no parity on record for decode");
  // Other stages stay where they are.
  EXPECT_EQ(
      DeviceFor({.device = "cuda", .records = records}, Stage::kEncoder).device,
      "cuda");
}

TEST(Rlx, Row20Overrides) {
  const std::vector<ParityRecord> records = Passed("metal");
  DeviceRequest request = {.device = "metal", .records = records};
  EXPECT_EQ(DeviceFor(request, Stage::kDecode).device, "cpu");
  EXPECT_EQ(DeviceFor(request, Stage::kDecode).reason,
            "metal: decode runs on cpu: its decoder has no proven parity "
            "upstream");
  request.override_table = true;
  EXPECT_EQ(DeviceFor(request, Stage::kDecode).device, "metal");
  EXPECT_TRUE(KeepsKvResident(request));
  request.disable_resident_kv = true;
  EXPECT_FALSE(KeepsKvResident(request));
  request.records = {};  // an override is no parity
  EXPECT_EQ(DeviceFor(request, Stage::kDecode).device, "cpu");
}

TEST(Rlx, Row18SaysWhichRowsAreStillNeeded) {
  EXPECT_TRUE(NeedlessRows({}).empty());
  std::vector<ParityRecord> records = Passed("metal");
  records[3].max_abs = 1;
  EXPECT_EQ(NeedlessRows(records),
            (std::vector<std::string>{"metal cross_kv", "metal prefill"}));
}

TEST(Rlx, Row18SafeProfileIsForGuardedDevicesOnly) {
  const Profile profile = LoadProfile("cpu-bf16");
  for (const DeviceRow& row : DeviceTable())
    EXPECT_EQ(SafeProfile(row.device, profile) == profile,
              row.device != "metal");
  EXPECT_TRUE(SafeProfile("npu", profile) == profile);
  const Profile safe = SafeProfile("metal", profile);
  EXPECT_EQ(safe.Of(Stage::kEncoder), profile.Of(Stage::kEncoder));
  EXPECT_TRUE(safe.Of(Stage::kDecode).fuse.skip);
  EXPECT_TRUE(safe.Of(Stage::kPrefill).fuse.unfuse);
}

TEST(Rlx, Row19CompileGuard) {
  CompileSwitch guard;
  EXPECT_EQ(
      WithCompileGuard("metal", guard, [&] { return guard.on() ? 7 : 0; }), 7);
  EXPECT_FALSE(guard.on());
  EXPECT_FALSE(WithCompileGuard("cuda", guard, [&] { return guard.on(); }));
  WithCompileGuard("metal", guard, [&] {  // nested
    WithCompileGuard("metal", guard, [&] { EXPECT_TRUE(guard.on()); });
    EXPECT_TRUE(guard.on());
  });
  EXPECT_FALSE(guard.on());
  EXPECT_THROW(WithCompileGuard("metal", guard, []() -> int { throw 1; }), int);
  EXPECT_FALSE(guard.on());
  CompileSwitch always(true);  // what was on before stays on
  WithCompileGuard("metal", always, [] {});
  EXPECT_TRUE(always.on());
}

TEST(Rlx, Row19CompileGuardFromTwoThreads) {
  CompileSwitch guard;
  std::atomic<bool> ever_off{false};
  std::vector<std::thread> threads;
  for (int t = 0; t < 2; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < 10000; ++i)
        WithCompileGuard("metal", guard, [&] {
          if (!guard.on()) ever_off = true;
        });
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_FALSE(ever_off);
  EXPECT_FALSE(guard.on());
}

}  // namespace
}  // namespace sotto
