// SPDX-License-Identifier: MIT
// Every stage of a small model behind each pass, its program and its memory
// plan, as texts that are kept. A change of them is reviewed as a diff:
// tools/regen_golden.sh takes over what this test wrote. Kernels are the
// reference ones on one thread, so that every machine gives the same.
#include <gtest/gtest.h>

#include <filesystem>

#include "base/cpu.h"
#include "base/file.h"
#include "compile/dump.h"
#include "cpu/cpu_backend.h"
#include "stage_runner.h"
#include "tiny_model.h"

namespace sotto {
namespace {

namespace fs = std::filesystem;

StageShape ShapeOf(Stage stage) {
  StageShape shape = {.frames = 32};
  if (stage == Stage::kPrefill) shape.tokens = 3;
  if (stage == Stage::kDecode) shape.kv_extent = 5;
  return shape;
}

// "== fuse" and the graph, or only that it is the same as before.
std::string Describe(Stage stage, const char* profile_name) {
  TinyOptions options = MicroOptions();
  options.heads = 2;
  const auto store = MakeTinyStore(options);
  Profile profile = LoadProfile(profile_name);
  profile.allow_ref = true;
  ThreadPool pool(1);
  const auto backend = MakeCpuBackend(
      {.features = CpuFeatures(), .pool = &pool, .allow_ref = true});
  Backend* const backends[] = {backend.get()};
  CompileReport report{.keep_graphs = true};
  const auto program =
      Compile(*store, stage, ShapeOf(stage), profile, backends, &report);
  std::string text, before;
  for (const auto& [pass, graph] : report.graphs) {
    text += "== " + pass + (graph == before ? ": the same\n" : "\n" + graph);
    before = graph;
  }
  text += "== " + report.fusion.ToString();
  text += "== program\n" + DumpText(Dump::kProgram, *program, profile);
  text += "== plan\n" + DumpText(Dump::kPlan, *program, profile);
  return text;
}

class CompileGolden
    : public testing::TestWithParam<std::tuple<Stage, const char*>> {};

TEST_P(CompileGolden, IsAsItWas) {
  const auto [stage, profile] = GetParam();
  const std::string name =
      std::string(StageName(stage)) + "." + profile + ".txt";
  const std::string now = Describe(stage, profile);
  const fs::path made = fs::path("golden/compile") / name;
  fs::create_directories(made.parent_path());
  WriteFileAtomic(made, now);
  const fs::path kept =
      fs::path(SOTTO_SOURCE_DIR) / "tests/golden/compile" / name;
  ASSERT_TRUE(fs::exists(kept)) << "run tools/regen_golden.sh";
  EXPECT_EQ(ReadFile(kept), now)
      << "compare " << fs::absolute(made)
      << "; where it is right, run tools/regen_golden.sh";
}

INSTANTIATE_TEST_SUITE_P(
    Stages, CompileGolden,
    testing::Combine(testing::ValuesIn(kStages),
                     testing::Values("cpu-f32", "cpu-bf16")),
    [](const auto& param) {
      std::string name(StageName(std::get<0>(param.param)));
      return name + (std::get<1>(param.param) == std::string("cpu-f32")
                         ? "_f32"
                         : "_bf16");
    });

}  // namespace
}  // namespace sotto
