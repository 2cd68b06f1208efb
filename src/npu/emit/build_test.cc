// SPDX-License-Identifier: MIT
// The build with tools made of shell: what each step is given, what happens
// where one fails, hangs or leaves something out.
#include "npu/emit/build.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"
#include "npu/design/designs.h"
#include "npu/emit/process.h"

namespace sotto::npu {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

constexpr const char* kClang = R"sh(
case "$*" in
  *--print-targets*) echo "  aie2 - AI Engine 2" ;;
  *--version*) echo "clang version 20, fake" ;;
  *) while [ $# -gt 0 ]; do [ "$1" = -o ] && out=$2; shift; done
     echo object > "$out" ;;
esac)sh";
constexpr const char* kAr = R"sh(
[ "$1" = --version ] && { echo "ar, fake"; exit; }
echo archive > "$2")sh";
constexpr const char* kNm = R"sh(
[ "$1" = --version ] && { echo "nm, fake"; exit; }
echo "00000000 T passthrough_u8"
echo "00000040 t helper")sh";
constexpr const char* kAiecc = R"sh(
[ "$1" = --version ] && { echo "aiecc, fake"; exit; }
grep -q 'aie.device(npu1)' design.mlir || exit 3
for arg in "$@"; do
  case $arg in
    --xclbin-name=*) echo xclbin > "${arg#*=}" ;;
    --npu-insts-name=*) cp planned.bin "${arg#*=}" ;;
  esac
done)sh";

class Build : public testing::Test {
 protected:
  void SetUp() override {
    root_ = fs::path(testing::TempDir()) /
            testing::UnitTest::GetInstance()->current_test_info()->name();
    fs::remove_all(root_);
    fs::create_directories(root_ / "tools");
    Tool("clang++", kClang);
    Tool("llvm-ar", kAr);
    Tool("llvm-nm", kNm);
    Tool("aiecc", kAiecc);
    WriteFileAtomic(root_ / "plain.cc", "// kernels\n");
    options_.folder = root_ / "out";
    options_.sources = {root_ / "plain.cc"};
    options_.include_folders = {root_};
  }
  void TearDown() override { fs::remove_all(root_); }

  void Tool(const std::string& name, const std::string& script) {
    const fs::path path = root_ / "tools" / name;
    WriteFileAtomic(path, "#!/bin/sh" + script + "\n");
    fs::permissions(path, fs::perms::owner_all);
  }
  Environment Probe() {
    ProbeOptions options;
    options.variable = [this](const char* name) -> std::optional<std::string> {
      if (std::string_view(name) != "PATH") return std::nullopt;
      return (root_ / "tools").string();
    };
    options.devices = root_;
    return ProbeEnvironment(options);
  }
  BuildResult Run() {
    return BuildPackage(MakeDesign("passthrough"), Probe(), options_);
  }
  template <typename Call>
  std::string ErrorOf(ErrorCode code, Call&& call) {
    try {
      call();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), code) << error.what();
      return error.what();
    }
    return "no error";
  }
  std::string BuildError(ErrorCode code) {
    return ErrorOf(code, [this] { Run(); });
  }

  fs::path root_;
  BuildOptions options_;
};

TEST_F(Build, R12N10MakesAPackageThatOpens) {
  std::vector<std::string> steps;
  options_.progress = [&](int step, int, const std::string& what) {
    steps.push_back(std::to_string(step) + what);
  };
  const BuildResult result = Run();
  EXPECT_EQ(steps.size(), 5u);
  const auto json = nlohmann::json::parse(ReadFile(result.manifest));
  for (const char* part : {"xclbin", "instructions", "archive", "mlir"}) {
    EXPECT_EQ(json.at(part).at("sha256").get<std::string>().size(), 64u);
    EXPECT_GT(json.at(part).at("bytes").get<int>(), 0);
  }
  for (const auto& object : json.at("objects")) {
    EXPECT_GT(object.at("bytes").get<int>(), 0);
  }
  EXPECT_EQ(json.at("seconds").get<double>(), result.seconds);
  double steps_took = 0;
  for (const auto& took : json.at("step_seconds")) {
    EXPECT_GE(took.get<double>(), 0);
    steps_took += took.get<double>();
  }
  EXPECT_LE(steps_took, result.seconds);
  EXPECT_TRUE(json.at("instructions_as_planned").get<bool>());
  EXPECT_EQ(ReadFile(result.manifest).find(root_.string()), std::string::npos);

  const Design design = MakeDesign("passthrough");
  const Package package = OpenPackage(design, options_.folder);
  EXPECT_EQ(Decode(package.instructions), package.plan.stream);
  // As aiecc links it: the stack below the buffers.
  EXPECT_EQ(package.plan.config.tiles.at({0, 2}).stack_address, 0);
}

// T17: whatever was changed after the build is refused.
TEST_F(Build, R12StalePackagesAreRefused) {
  Run();
  const Design design = MakeDesign("passthrough");
  const auto open = [&](const Design& d) {
    return ErrorOf(ErrorCode::kBadInput,
                   [&] { OpenPackage(d, options_.folder); });
  };
  Design changed = design;
  changed.fifos[0].consumers[0].depth = 3;
  EXPECT_THAT(open(changed), HasSubstr("another version of design"));
  WriteFileAtomic(options_.folder / "design.xclbin", "other");
  EXPECT_THAT(open(design), HasSubstr("design.xclbin is"));
  fs::remove(options_.folder / "design.xclbin");
  EXPECT_THAT(open(design), HasSubstr("is missing"));
  // A build that fails leaves no manifest of the one before.
  Tool("aiecc", "\n[ \"$1\" = --version ] || exit 1");
  BuildError(ErrorCode::kDevice);
  EXPECT_THAT(ErrorOf(ErrorCode::kNotFound,
                      [&] { OpenPackage(design, options_.folder); }),
              HasSubstr("no NPU package is built here"));
}

TEST_F(Build, R12FailuresNameStepLogAndLastLine) {
  Tool("aiecc", R"sh(
[ "$1" = --version ] && exit
echo "error: allocated buffers exceeded available memory"; exit 1)sh");
  EXPECT_THAT(BuildError(ErrorCode::kDevice),
              HasSubstr("step 4/5 (aiecc): aiecc failed: error: allocated "
                        "buffers exceeded available memory (logs/aiecc.log)"));
  Tool("aiecc", "\nexit 0");
  EXPECT_THAT(BuildError(ErrorCode::kDevice),
              HasSubstr("ended without error but made no design.xclbin"));
}

TEST_F(Build, R12HangingToolsRunOutOfTime) {
  EXPECT_EQ(BuildOptions().compile_timeout, std::chrono::seconds(120));
  EXPECT_EQ(BuildOptions().package_timeout, std::chrono::seconds(300));
  // With a child that would hold the log open.
  Tool("aiecc", "\n[ \"$1\" = --version ] && exit\nsleep 60 & sleep 60");
  options_.package_timeout = std::chrono::milliseconds(200);
  EXPECT_THAT(BuildError(ErrorCode::kDevice),
              HasSubstr("aiecc took longer than 0.2 s, see logs/aiecc.log"));
}

TEST_F(Build, R12SymbolsAreChecked) {
  Tool("llvm-nm", "\necho '0 T other'");
  EXPECT_THAT(BuildError(ErrorCode::kBadInput),
              HasSubstr("kernel passthrough_u8 is not in the archive"));
  Tool("llvm-nm", "\necho '0 T passthrough_u8'; echo '4 T passthrough_u8'");
  EXPECT_THAT(BuildError(ErrorCode::kBadInput),
              HasSubstr("kernel passthrough_u8 is 2 times in the archive"));
}

TEST_F(Build, R12MissingToolsAreNamedWithTheirFix) {
  fs::remove(root_ / "tools" / "aiecc");
  EXPECT_THAT(BuildError(ErrorCode::kUnsupported),
              HasSubstr("aiecc: no aiecc; install the mlir_aie wheel"));
  Tool("clang++", "\necho x86-64");
  EXPECT_THAT(BuildError(ErrorCode::kUnsupported),
              HasSubstr("peano: this clang++ has no target aie2"));
}

// R13: machine-readable, and no path of this machine in it.
TEST_F(Build, R13EnvironmentIsMachineReadable) {
  const auto find = [](const nlohmann::json& json, const std::string& id) {
    for (const auto& f : json.at("findings")) {
      if (f.at("id") == id) return f;
    }
    return nlohmann::json();
  };
  const std::string text = ToJson(Probe());
  auto json = nlohmann::json::parse(text);
  EXPECT_TRUE(json.at("can_build").get<bool>());
  EXPECT_EQ(find(json, "peano").at("detail"), "clang version 20, fake");
  EXPECT_EQ(find(json, "aiecc").at("where"), "PATH");
  EXPECT_FALSE(find(json, "device").at("found").get<bool>());
  EXPECT_FALSE(find(json, "mlir-opt").at("found").get<bool>());
  EXPECT_EQ(text.find(root_.string()), std::string::npos);
  for (const auto& f : json.at("findings")) {
    EXPECT_EQ(f.at("found").get<bool>(), f.at("fix").get<std::string>().empty())
        << f;
  }
  fs::create_directories(root_ / "accel");
  WriteFileAtomic(root_ / "accel" / "accel0", "");
  json = nlohmann::json::parse(ToJson(Probe()));
  EXPECT_EQ(find(json, "device").at("where"), "accel/accel0");
}

TEST_F(Build, R13PeanoIsFoundThroughItsVariable) {
  fs::create_directories(root_ / "peano" / "bin");
  fs::rename(root_ / "tools" / "clang++", root_ / "peano" / "bin" / "clang++");
  ProbeOptions options;
  options.variable = [this](const char* name) -> std::optional<std::string> {
    if (std::string_view(name) != "PEANO_INSTALL_DIR") return std::nullopt;
    return (root_ / "peano").string();
  };
  const Environment found = ProbeEnvironment(options);
  EXPECT_TRUE(found.Has("peano"));
  EXPECT_EQ(found.findings[0].where, "PEANO_INSTALL_DIR");
}

TEST(Process, TellsExitCodesAndWhatCannotStart) {
  const fs::path log = fs::path(testing::TempDir()) / "process.log";
  const auto run = [&](std::vector<std::string> argv) {
    return RunProcess(argv, testing::TempDir(), log, std::chrono::seconds(5));
  };
  EXPECT_EQ(run({"sh", "-c", "echo out; echo err >&2; exit 3"}).exit_code, 3);
  EXPECT_EQ(ReadFile(log), "out\nerr\n");
  EXPECT_EQ(run({"no-such-program-here"}).exit_code, -1);
  EXPECT_EQ(run({"sh", "-c", "kill -9 $$"}).exit_code, -1);
}

}  // namespace
}  // namespace sotto::npu
