// SPDX-License-Identifier: MIT
// sotto compile: what a model becomes on this machine, as text.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <iostream>
#include <nlohmann/json.hpp>

#include "apps/cli/commands.h"
#include "apps/cli/common.h"
#include "base/error.h"
#include "compile/dump.h"
#include "engine/engine.h"
#include "engine/window_model.h"

namespace sotto::cli {
namespace {

class CompileCommand : public Command {
 public:
  void Describe(CLI::App& app) override {
    app.description(
        "Compile a model's stages and show what they become: the graph behind "
        "all passes, the program's steps, the memory plan, the kernels chosen "
        "and why others were refused, the profile, or the memory in sum.");
    app.add_option("--stage", stage_,
                   "encoder, cross_kv, prefill or decode; default: all four");
    app.add_option("--print", print_,
                   "graph, program, plan, kernels, profile or memory");
    app.add_option("--tokens", tokens_, "prompt length of the prefill stage")
        ->check(CLI::Range(1, 448));
    app.add_option("--position", position_, "position of the decode stage")
        ->check(CLI::Range(0, 447));
    app.add_option("--json", json_, "with --print memory: as JSON");
    AddEngineOptions(app, options_);
  }

  int Run() override {
    CheckOptions(options_);
    const auto dump = DumpNamed(print_);
    if (!dump && print_ != "memory")
      Fail(ErrorCode::kBadInput,
           "--print is '{}', want graph, program, plan, kernels, profile or "
           "memory",
           print_);
    std::vector<Stage> stages;
    for (const Stage stage : kStages)
      if (stage_.empty() || stage_ == StageName(stage)) stages.push_back(stage);
    if (stages.empty())
      Fail(ErrorCode::kBadInput,
           "--stage is '{}', want encoder, cross_kv, prefill or decode",
           stage_);

    Engine engine(FindModel(options_.model),
                  {options_.profile, options_.device, options_.threads});
    if (!dump) {
      PrintMemory(engine);
      return kDone;
    }
    if (*dump == Dump::kProfile) stages.resize(1);  // one for all stages
    for (const Stage stage : stages)
      std::cout << DumpText(*dump, *engine.ProgramFor(stage, ShapeOf(stage)),
                            engine.profile())
                << '\n';
    if (*dump == Dump::kProfile) PrintBuckets(engine);
    return kDone;
  }

 private:
  StageShape ShapeOf(Stage stage) const {
    switch (stage) {
      case Stage::kPrefill:
        return {.tokens = tokens_};
      case Stage::kDecode:
        return {.kv_extent = position_};
      default:
        return {};
    }
  }

  // As comments, so that what is printed reads back as a profile.
  static void PrintBuckets(Engine& engine) {
    const BucketLadder& ladder = engine.programs().ladder();
    const int64_t last = engine.spec().n_text_ctx - 5;
    std::cout << fmt::format(
        "# decode buckets: {}\n# attention rows a padded program would compute "
        "for each there is, pasts 4 to {}: {:.2f}\n",
        ladder.ToString(), last, ladder.Waste(4, last));
  }

  // What a transcription holds: packed weights, and one session's arena,
  // states and named buffers.
  void PrintMemory(Engine& engine) const {
    engine.Warmup();
    WindowModel model(engine);
    for (const Stage stage : kStages)
      model.session().Prepare(*engine.ProgramFor(stage, ShapeOf(stage)));
    const size_t packed = engine.backend().packed_bytes();
    const size_t session = model.session().bytes();
    if (json_) {
      std::cout << nlohmann::ordered_json(
                       {{"packed_bytes", packed}, {"session_bytes", session}})
                       .dump()
                << '\n';
      return;
    }
    std::cout << fmt::format("packed weights {:.1f} MB, session {:.1f} MB\n",
                             static_cast<double>(packed) * 1e-6,
                             static_cast<double>(session) * 1e-6);
    for (const Stage stage : kStages)
      std::cout << fmt::format(
          "{:9} arena {:.2f} MB\n", StageName(stage),
          static_cast<double>(
              engine.ProgramFor(stage, ShapeOf(stage))->plan().arena_bytes) *
              1e-6);
  }

  Options options_;
  std::string stage_;
  std::string print_ = "program";
  int tokens_ = 3;
  int position_ = 3;
  bool json_ = false;
};

}  // namespace

std::unique_ptr<Command> MakeCompile() {
  return std::make_unique<CompileCommand>();
}

}  // namespace sotto::cli
