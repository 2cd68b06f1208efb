// SPDX-License-Identifier: MIT
// The build with tools made of shell: what each step is given, what happens
// where one fails, hangs or leaves something out.
#include "npu/emit/build.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"
#include "base/test_folder.h"
#include "npu/emit/fake_tools.h"
#include "npu/emit/process.h"
#include "npu/run/design_list.h"

namespace sotto::npu {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

constexpr KernelSource kSources[] = {
    {"npu/kernels/plain.cc",
     "#include \"npu/kernels/vec.h\"\nvoid passthrough_u8(int);\n"},
    {"npu/kernels/other.cc", "void add_i8(int);\n"},
    {"npu/kernels/vec.h", "// vectors\n"}};

class Build : public testing::Test {
 protected:
  void SetUp() override {
    options_.folder = root_ / "out";
    options_.sources = kSources;
  }
  BuildResult Run() {
    return BuildPackage(MakeDesign("passthrough"), tools_.Probe(), options_);
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

  FakeTools tools_;
  const fs::path root_ = tools_.root();
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
  EXPECT_TRUE(json.at("aiecc_instructions_do_the_same").get<bool>());
  // All sources are there; only what has the design's kernel was compiled.
  EXPECT_EQ(json.at("sources").size(), 3u);
  EXPECT_EQ(json.at("objects").size(), 1u);
  EXPECT_EQ(ReadFile(result.manifest).find(root_.string()), std::string::npos);

  const Design design = MakeDesign("passthrough");
  const Package package = OpenPackage(design, options_.folder, kSources);
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
                   [&] { OpenPackage(d, options_.folder, kSources); });
  };
  Design changed = design;
  changed.fifos[0].consumers[0].depth = 3;
  EXPECT_THAT(open(changed), HasSubstr("another version of design"));
  WriteFileAtomic(options_.folder / "design.xclbin", "other");
  EXPECT_THAT(open(design), HasSubstr("design.xclbin is"));
  fs::remove(options_.folder / "design.xclbin");
  EXPECT_THAT(open(design), HasSubstr("is missing"));
  Run();
  // Another version of a source, or one changed where it lies.
  const KernelSource later[] = {{"npu/kernels/plain.cc", "// later\n"}};
  EXPECT_THAT(
      ErrorOf(ErrorCode::kBadInput,
              [&] { OpenPackage(design, options_.folder, later); }),
      HasSubstr("another version of kernel source npu/kernels/plain.cc: "
                "build the package again"));
  WriteFileAtomic(options_.folder / "sources/npu/kernels/vec.h", "changed");
  EXPECT_THAT(open(design), HasSubstr("sources/npu/kernels/vec.h is"));
  // A build that fails leaves no manifest of the one before.
  tools_.Set("aiecc", "\n[ \"$1\" = --version ] || exit 1");
  BuildError(ErrorCode::kDevice);
  EXPECT_THAT(ErrorOf(ErrorCode::kNotFound,
                      [&] { OpenPackage(design, options_.folder, kSources); }),
              HasSubstr("no NPU package is built here"));
}

// aiecc may bundle writes as it likes; another stream is told, and does not
// run: the plan's own does.
TEST_F(Build, R12AieccsStreamIsComparedByWhatItDoes) {
  const auto same = [&] {
    const auto json = nlohmann::json::parse(ReadFile(Run().manifest));
    return json.at("aiecc_instructions_do_the_same").get<bool>();
  };
  TxnStream stream = MakePlan(ForDevice(MakeDesign("passthrough"))).stream;
  const auto give = [&](const TxnStream& other) {
    const auto words = Encode(other);
    WriteFileAtomic(
        root_ / "insts",
        {reinterpret_cast<const char*>(words.data()), 4 * words.size()});
    tools_.Set("aiecc",
               "\n[ \"$1\" = --version ] && { echo aiecc; exit; }\n"
               "echo x > design.xclbin; cp ../insts insts.bin");
  };
  TxnStream single;
  for (const TxnOp& op : stream.ops) {
    for (size_t i = 0; i < op.values.size(); ++i) {
      TxnOp one = op;
      one.values = {op.values[i]};
      one.address += static_cast<uint32_t>(4 * i);
      if (op.kind == TxnOp::Kind::kBlockWrite) one.kind = TxnOp::Kind::kWrite32;
      single.ops.push_back(one);
    }
    if (op.values.empty()) single.ops.push_back(op);
  }
  ASSERT_NE(single, stream);
  give(single);
  EXPECT_TRUE(same());
  single.ops.front().values[0] ^= 1;
  give(single);
  EXPECT_FALSE(same());
  WriteFileAtomic(root_ / "insts", "no stream");
  EXPECT_FALSE(same());
  EXPECT_EQ(
      Decode(OpenPackage(MakeDesign("passthrough"), options_.folder, kSources)
                 .instructions),
      stream);
}

// Stacks are planned for the frames of kernels.def.
TEST_F(Build, R12LargerFramesAreRefused) {
  const auto clang = [&](const std::string& says) {
    tools_.Set("clang++", R"sh(
case "$*" in
  *--print-targets*) echo "  aie2"; exit ;;
  *--version*) echo "clang"; exit ;;
esac
while [ $# -gt 0 ]; do [ "$1" = -o ] && out=$2; shift; done
echo object > "$out"
echo "x.cc:3:6: warning: stack frame size )sh" +
                              says + "\"");
  };
  clang("(4416) exceeds limit (32) in 'other'");
  Run();
  clang("(4416) exceeds limit (32) in 'passthrough_u8'");
  EXPECT_THAT(BuildError(ErrorCode::kBadInput),
              HasSubstr("kernel passthrough_u8 has a frame of 4416 bytes, want "
                        "at most 32"));
}

// The program has its cores' sources in it, whole.
TEST(KernelSources, AreThoseOfTheTree) {
  size_t compiled = 0;
  for (const KernelSource& source : KernelSources()) {
    EXPECT_EQ(source.text,
              ReadFile(fs::path(SOTTO_SOURCE_DIR) / "src" / source.name));
    compiled += source.IsCompiled() ? 1 : 0;
  }
  EXPECT_GE(compiled, 5u);
}

TEST_F(Build, R12FailuresNameStepLogAndLastLine) {
  tools_.Set("aiecc", R"sh(
[ "$1" = --version ] && exit
echo "error: allocated buffers exceeded available memory"; exit 1)sh");
  EXPECT_THAT(BuildError(ErrorCode::kDevice),
              HasSubstr("step 4/5 (aiecc): aiecc failed: error: allocated "
                        "buffers exceeded available memory (logs/aiecc.log)"));
  tools_.Set("aiecc", "\nexit 0");
  EXPECT_THAT(BuildError(ErrorCode::kDevice),
              HasSubstr("ended without error but made no design.xclbin"));
}

TEST_F(Build, R12HangingToolsRunOutOfTime) {
  EXPECT_EQ(BuildOptions().compile_timeout, std::chrono::seconds(120));
  EXPECT_EQ(BuildOptions().package_timeout, std::chrono::seconds(300));
  // With a child that would hold the log open.
  tools_.Set("aiecc", "\n[ \"$1\" = --version ] && exit\nsleep 60 & sleep 60");
  options_.package_timeout = std::chrono::milliseconds(200);
  EXPECT_THAT(BuildError(ErrorCode::kDevice),
              HasSubstr("aiecc took longer than 0.2 s, see logs/aiecc.log"));
}

TEST_F(Build, R12SymbolsAreChecked) {
  tools_.Set("llvm-nm", "\necho '0 T other'");
  EXPECT_THAT(BuildError(ErrorCode::kBadInput),
              HasSubstr("kernel passthrough_u8 is not in the archive"));
  tools_.Set("llvm-nm",
             "\necho '0 T passthrough_u8'; echo '4 T passthrough_u8'");
  EXPECT_THAT(BuildError(ErrorCode::kBadInput),
              HasSubstr("kernel passthrough_u8 is 2 times in the archive"));
}

TEST_F(Build, R12MissingToolsAreNamedWithTheirFix) {
  tools_.Remove("aiecc");
  EXPECT_THAT(BuildError(ErrorCode::kUnsupported),
              HasSubstr("aiecc: no aiecc; install the mlir_aie wheel"));
  tools_.Set("clang++", "\necho x86-64");
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
  const std::string text = ToJson(tools_.Probe());
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
  json = nlohmann::json::parse(ToJson(tools_.Probe()));
  EXPECT_EQ(find(json, "device").at("where"), "accel/accel0");
}

TEST_F(Build, R13PeanoIsFoundThroughItsVariable) {
  fs::create_directories(root_ / "peano" / "bin");
  fs::rename(root_ / "bin" / "clang++", root_ / "peano" / "bin" / "clang++");
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
  const TestFolder folder;
  const fs::path log = folder / "process.log";
  const auto run = [&](std::vector<std::string> argv) {
    return RunProcess(argv, folder.path(), log, std::chrono::seconds(5));
  };
  EXPECT_EQ(run({"sh", "-c", "echo out; echo err >&2; exit 3"}).exit_code, 3);
  EXPECT_EQ(ReadFile(log), "out\nerr\n");
  EXPECT_EQ(run({"no-such-program-here"}).exit_code, -1);
  EXPECT_EQ(run({"sh", "-c", "kill -9 $$"}).exit_code, -1);
}

}  // namespace
}  // namespace sotto::npu
