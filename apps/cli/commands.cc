// SPDX-License-Identifier: MIT
#include "apps/cli/commands.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <iostream>

#include "apps/cli/args.h"
#include "apps/cli/common.h"
#include "base/error.h"

namespace sotto::cli {
namespace {

constexpr CommandRow kCommands[] = {
    {"transcribe", "speech in audio or video files to text", MakeTranscribe},
    {"eval", "word error rate over a manifest", MakeEval},
    {"bench", "measure a model's stages on this machine", MakeBench},
    {"compile", "show what a model compiles to", MakeCompile},
    {"convert", "write a model in another format", MakeConvert},
    {"pull", "download a model", MakePull},
    {"models", "list the models found on this machine", MakeModels},
    {"doctor", "what this machine can run models on, and what is in the way",
     MakeDoctor},
    {"ops", "list operators, check programs of operators", MakeOps},
    {"npu", "the AMD NPU: kernels, designs, simulator, packages, scales",
     MakeNpu},
    {"completion", "print shell completion or the man page", MakeCompletion},
};

std::vector<std::string> KnownNames(const CLI::App& app) {
  std::vector<std::string> known;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames())
      known.push_back("--" + name);
    for (const std::string& name : option->get_snames())
      known.push_back("-" + name);
  }
  return known;
}

// Options whose value may be left out: those that fill a bool.
std::vector<std::string> BooleanNames(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options())
    if (option->get_type_name() == "BOOLEAN")
      for (const std::string& name : option->get_lnames())
        names.push_back(name);
  return names;
}

}  // namespace

std::span<const CommandRow> Commands() { return kCommands; }

int RunCommand(const CommandRow& row, std::vector<std::string> args) {
  const std::unique_ptr<Command> command = row.make();
  CLI::App app("", "sotto " + std::string(row.name));
  app.set_help_flag("-h,--help", "print this help");
  command->Describe(app);
  const std::vector<std::string> booleans = BooleanNames(app);
  std::vector<std::string> words = NormaliseArgs(
      args, std::vector<std::string_view>(booleans.begin(), booleans.end()));
  const std::vector<std::string> known = KnownNames(app);
  const std::string unknown = UnknownOption(words, known);
  if (!unknown.empty()) Fail(ErrorCode::kBadInput, "{}", unknown);
  std::reverse(words.begin(), words.end());  // CLI11 takes them from the back
  try {
    app.parse(std::move(words));
  } catch (const CLI::CallForHelp&) {
    std::cout << app.help();
    return kDone;
  } catch (const CLI::ArgumentMismatch& error) {
    const std::string what = error.what();
    Fail(ErrorCode::kBadInput, "{} wants a value; see sotto {} --help",
         what.substr(0, what.find(':')), row.name);
  } catch (const CLI::ParseError& error) {
    Fail(ErrorCode::kBadInput, "{}; see sotto {} --help", error.what(),
         row.name);
  }
  return command->Run();
}

}  // namespace sotto::cli
