// SPDX-License-Identifier: MIT
// R3: a healthy machine first, then each fault alone: exactly its point fails,
// with cause and fix.
#include "npu/host/doctor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "base/error.h"
#include "base/test_folder.h"
#include "npu/host/mock_xrt.h"
#include "npu/host/test_program.h"
#include "npu/host/this_npu.h"
#include "npu/host/xrt_device.h"
#include "npu/txn.h"

namespace sotto::npu {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr char kPci[] = "/sys/bus/pci/devices/0000:c5:00.1";

// A laptop with a working Phoenix.
class FakeSystem : public System {
 public:
  std::map<std::string, std::string> files{
      {std::string(kPci) + "/vendor", "0x1022\n"},
      {std::string(kPci) + "/device", "0x1502\n"},
      {"/sys/bus/pci/devices/0000:00:00.0/vendor", "0x1022\n"},
      {"/sys/bus/pci/devices/0000:00:00.0/device", "0x14e8\n"},
      {std::string(kPci) + "/accel/accel0/dev", "261:0\n"},
      {"/sys/module/amdxdna/refcnt", "0\n"},
      {"/dev/accel/accel0", ""},
      {"/lib/firmware/amdnpu/1502_00/npu.sbin", ""},
  };
  int open_error = 0;
  std::string release = "6.14.2-amd64";
  std::vector<std::string> groups{"users", "render"};
  uint64_t memlock = kUnlimited;

  std::optional<std::string> Read(const std::string& path) const override {
    const auto at = files.find(path);
    return at == files.end() ? std::nullopt : std::optional(at->second);
  }
  std::vector<std::string> List(const std::string& path) const override {
    std::set<std::string> names;
    for (const auto& [name, text] : files)
      if (name.rfind(path + "/", 0) == 0)
        names.insert(
            name.substr(path.size() + 1,
                        name.find('/', path.size() + 1) - path.size() - 1));
    return {names.begin(), names.end()};
  }
  int OpenError(const std::string& path) const override {
    return files.count(path) == 0 ? ENOENT : open_error;
  }
  std::string KernelRelease() const override { return release; }
  std::vector<std::string> Groups() const override { return groups; }
  uint64_t MemlockBytes() const override { return memlock; }

  void Remove(const std::string& prefix) {
    std::erase_if(files,
                  [&](const auto& f) { return f.first.rfind(prefix, 0) == 0; });
  }
};

std::vector<std::string> Failing(const std::vector<Finding>& findings) {
  std::vector<std::string> ids;
  for (const Finding& f : findings) {
    if (f.ok) continue;
    EXPECT_FALSE(f.cause.empty()) << f.id;
    EXPECT_FALSE(f.fix.empty()) << f.id;
    ids.push_back(f.id);
  }
  return ids;
}

TEST(Doctor, HealthyMachine) {
  const auto findings = ExamineMachine(FakeSystem());
  EXPECT_TRUE(Healthy(findings)) << ToText(findings);
  EXPECT_EQ(findings.size(), 7u);
  for (const Finding& f : findings) EXPECT_FALSE(f.skipped) << f.id;
}

TEST(Doctor, R3EachFaultOfTheMachineAlone) {
  struct Case {
    std::function<void(FakeSystem&)> injure;
    std::vector<std::string> points;
    std::string said;
  };
  const std::string pci = kPci;
  const std::vector<Case> cases{
      {[](auto& s) { s.Remove(kPci); }, {"pci"}, "no AMD NPU"},
      {[&](auto& s) { s.files[pci + "/device"] = "0x17f0\n"; },
       {"pci"},
       "XDNA2"},
      {[](auto& s) {
         s.release = "6.1.0-40-amd64";
         s.Remove("/sys/module/amdxdna");
       },
       {"kernel", "driver", "node"},
       "6.14"},
      {[](auto& s) { s.Remove("/sys/module/amdxdna"); },
       {"driver", "node"},
       "modprobe amdxdna"},
      {[&](auto& s) { s.Remove(pci + "/accel"); }, {"node"}, "IOMMU"},
      {[](auto& s) { s.Remove("/dev/accel"); }, {"node"}, "container"},
      {[](auto& s) {
         s.open_error = EACCES;
         s.groups = {"users"};
       },
       {"access"},
       "usermod -aG render"},
      {[](auto& s) { s.open_error = EACCES; }, {"access"}, "udev"},
      {[](auto& s) { s.open_error = ENODEV; }, {"access"}, "dmesg"},
      {[](auto& s) { s.memlock = 8 << 20; }, {"memory-lock"}, "memlock"},
      {[](auto& s) { s.Remove("/lib/firmware"); },
       {"firmware"},
       "linux-firmware"},
  };
  for (const Case& c : cases) {
    FakeSystem system;
    c.injure(system);
    const auto findings = ExamineMachine(system);
    EXPECT_EQ(Failing(findings), c.points);
    EXPECT_THAT(ToText(findings), HasSubstr(c.said));
    EXPECT_EQ(findings.size(), 7u);
    const auto json = nlohmann::json::parse(ToJson(findings));
    EXPECT_FALSE(json["ok"].get<bool>());
    EXPECT_EQ(json["points"].size(), 7u);
  }
  // An old kernel with the driver's own module is fine.
  FakeSystem system;
  system.release = "6.1.0-40-amd64";
  EXPECT_TRUE(Healthy(ExamineMachine(system)));
}

TEST(Doctor, R3Xrt) {
  FakeSystem system;
  EXPECT_THAT(ExamineXrt(system, {}).detail, HasSubstr("was not built"));
  system.files["/usr/lib/x86_64-linux-gnu/libxrt_core.so.2"] = "";
  EXPECT_THAT(ExamineXrt(system, {}).detail, HasSubstr("FPGA"));
  system.files["/usr/lib/x86_64-linux-gnu/libxrt_driver_xdna.so.2"] = "";
  EXPECT_THAT(ExamineXrt(system, {}).detail, HasSubstr("was not built"));
  const Finding missing = ExamineXrt(system, "/nowhere/libsotto_xrt.so");
  EXPECT_FALSE(missing.ok);
  EXPECT_THAT(missing.detail, HasSubstr("/nowhere/libsotto_xrt.so"));
}

// Nothing is examined before: the failure of each way to open it is told.
TEST(ThisNpu, SaysWhatIsWrongWithEachWay) {
  FakeSystem system;
  if (!FindXrtPlugin().empty() || std::filesystem::exists("/dev/accel/accel0"))
    GTEST_SKIP() << "XRT or an NPU is here";
  const auto error = [&]() -> std::string {
    try {
      OpenThisNpu(system);
    } catch (const Error& e) {
      return e.what();
    }
    return "";
  };
  EXPECT_THAT(error(), HasSubstr("/dev/accel/accel0: No such file"));
  EXPECT_THAT(error(), HasSubstr("with XRT: XRT's plug-in was not built"));
  system.Remove(std::string(kPci) + "/accel");
  EXPECT_THAT(error(), HasSubstr("plug-in was not built; and no node"));
}

class DoctorFiles : public testing::Test {
 protected:
  std::filesystem::path Write(const std::string& name, std::string_view bytes) {
    return folder_.Write(name, bytes);
  }
  std::string Stream() {
    TxnStream stream;
    stream.ops.push_back({.address = 0x1D214, .values = {1}});
    const auto words = Encode(stream);
    return {reinterpret_cast<const char*>(words.data()), 4 * words.size()};
  }

 private:
  TestFolder folder_;
};

TEST_F(DoctorFiles, R3EachFault) {
  const auto xclbin = Write("a.xclbin", "xclbin2 and more");
  const auto insts = Write("a.bin", Stream());
  EXPECT_TRUE(Healthy(ExamineFiles(xclbin, insts)));
  EXPECT_THAT(Failing(ExamineFiles("/nowhere.xclbin", insts)),
              ElementsAre("xclbin"));
  EXPECT_THAT(Failing(ExamineFiles(Write("b.xclbin", "version https://git-lfs"),
                                   insts)),
              ElementsAre("xclbin"));
  EXPECT_THAT(Failing(ExamineFiles(xclbin, "/nowhere.bin")),
              ElementsAre("instructions"));
  EXPECT_THAT(Failing(ExamineFiles(xclbin, Write("b.bin", Stream() + "x"))),
              ElementsAre("instructions"));
  EXPECT_THAT(
      Failing(ExamineFiles(xclbin, Write("c.bin", Stream().substr(0, 20)))),
      ElementsAre("instructions"));
}

TestRun AddOneRun() {
  TestRun run;
  TxnStream stream;
  stream.ops.push_back({.address = 0x1D214, .values = {1}});
  run.image = {nullptr, "a.xclbin", Encode(stream)};
  for (int i = 0; i < 64; ++i) {
    run.input.push_back(static_cast<std::byte>(3 * i));
    run.want.push_back(static_cast<std::byte>(3 * i + 1));
  }
  return run;
}

TEST(Doctor, R3RunsAProgramAndComparesEveryByte) {
  {
    MockXrt mock;
    mock.program = AddOne;
    const auto findings = ExamineRun(mock.api(), AddOneRun());
    EXPECT_TRUE(Healthy(findings)) << ToText(findings);
    EXPECT_EQ(findings.size(), 13u);
  }
  {
    MockXrt mock;
    mock.program = [](auto words, auto data) {
      const RunState state = AddOne(words, data);
      data[1][63] = std::byte{0};
      return state;
    };
    EXPECT_THAT(Failing(ExamineRun(mock.api(), AddOneRun())),
                ElementsAre("result"));
  }
  {
    MockXrt mock;  // zeros and COMPLETED: the "success" of the published runs
    mock.program = [](auto, auto) { return RunState::kCompleted; };
    EXPECT_THAT(Failing(ExamineRun(mock.api(), AddOneRun())),
                ElementsAre("result"));
  }
  {
    MockXrt mock;
    mock.program = [](auto, auto) { return RunState::kTimeout; };
    EXPECT_THAT(Failing(ExamineRun(mock.api(), AddOneRun())),
                ElementsAre("state", "read-sync", "result"));
  }
  {
    MockXrt mock;
    mock.context_limit = 0;
    const auto findings = ExamineRun(mock.api(), AddOneRun());
    EXPECT_THAT(ToText(findings), HasSubstr("no context free"));
    EXPECT_FALSE(Healthy(findings));
  }
}

}  // namespace
}  // namespace sotto::npu
