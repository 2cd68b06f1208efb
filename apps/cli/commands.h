// SPDX-License-Identifier: MIT
// The list of sotto's commands. A new one is a file with a Command and a row in
// commands.cc; help, completion and the man page follow.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace CLI {
class App;
}

namespace sotto::cli {

// Exit codes (0 all done, 1 a file failed, 2 usage).
inline constexpr int kDone = 0;
inline constexpr int kFailed = 1;
inline constexpr int kUsage = 2;
// A signal asked to stop: the process ends by it, which shells tell as 130.
inline constexpr int kStopped = 130;

class Command {
 public:
  virtual ~Command() = default;
  // Adds the command's options and its description to `app`. The options fill
  // this object.
  virtual void Describe(CLI::App& app) = 0;
  // Does it, after parsing. Throws Error.
  virtual int Run() = 0;
};

struct CommandRow {
  std::string_view name;
  std::string_view summary;  // one line
  std::unique_ptr<Command> (*make)();
};

std::span<const CommandRow> Commands();

// Parses `args` (behind the command's name), runs, returns the exit code.
int RunCommand(const CommandRow& row, std::vector<std::string> args);

std::unique_ptr<Command> MakeTranscribe();
std::unique_ptr<Command> MakeEval();
std::unique_ptr<Command> MakeBench();
std::unique_ptr<Command> MakeCompile();
std::unique_ptr<Command> MakeConvert();
std::unique_ptr<Command> MakeModels();
std::unique_ptr<Command> MakeOps();
std::unique_ptr<Command> MakePull();
std::unique_ptr<Command> MakeDoctor();
std::unique_ptr<Command> MakeNpu();
std::unique_ptr<Command> MakeCompletion();

}  // namespace sotto::cli
