// SPDX-License-Identifier: MIT
// sotto: the command line. Results go to stdout, everything else to stderr.
#include <algorithm>
#include <filesystem>
#include <iostream>
#include <new>
#include <string>
#include <vector>

#include "apps/cli/commands.h"
#include "base/did_you_mean.h"
#include "base/error.h"
#include "base/log.h"
#include "base/stop_signal.h"
#include "engine/version.h"

namespace sotto::cli {
namespace {

void PrintHelp() {
  std::cout << "Speech to text with Whisper models.\n\n"
               "usage: sotto [COMMAND] [OPTIONS] FILE...\n\n"
               "Without a command: transcribe.\n\n";
  for (const CommandRow& command : Commands())
    std::cout << "  " << command.name
              << std::string(12 - std::min<size_t>(11, command.name.size()),
                             ' ')
              << command.summary << '\n';
  std::cout << "\n`sotto COMMAND --help` tells its options, "
               "`sotto --version` the version.\n";
}

std::vector<std::string_view> CommandNames() {
  std::vector<std::string_view> names;
  for (const CommandRow& command : Commands()) names.push_back(command.name);
  return names;
}

// A file without an ending that is not there, named almost as a command is.
void CheckCommand(const std::string& word) {
  std::error_code ignored;
  if (word.find_first_of("./-") != std::string::npos ||
      std::filesystem::exists(word, ignored))
    return;
  const std::vector<std::string_view> names = CommandNames();
  if (!Closest(word, names).empty())
    Fail(ErrorCode::kBadInput, "no command or file '{}'{}", word,
         DidYouMean(word, names));
}

int Dispatch(std::vector<std::string> args) {
  if (args.size() == 2 && args[0] == "help") {
    const std::vector<std::string_view> names = CommandNames();
    if (std::find(names.begin(), names.end(), args[1]) == names.end())
      Fail(ErrorCode::kBadInput, "no command '{}'{}", args[1],
           DidYouMean(args[1], names));
    args = {args[1], "--help"};
  }
  if (args.empty() || args[0] == "--help" || args[0] == "-h" ||
      args[0] == "help") {
    PrintHelp();
    return args.empty() ? kUsage : kDone;
  }
  if (args[0] == "--version" || args[0] == "version") {
    std::cout << VersionLine() << '\n';
    return kDone;
  }
  for (const CommandRow& command : Commands()) {
    if (args[0] != command.name) continue;
    args.erase(args.begin());
    return RunCommand(command, std::move(args));
  }
  CheckCommand(args[0]);
  return RunCommand(Commands()[0], std::move(args));
}

int Main(int argc, char** argv) {
  SetLogSink([](LogLevel level, std::string_view line) {
    std::cerr << (level == LogLevel::kWarning ? "warning: " : "") << line
              << '\n';
  });
  try {
    return Dispatch({argv + 1, argv + argc});
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kCancelled && StopAsked()) {
      std::cerr << "sotto: " << error.what() << '\n';
      return kStopped;
    }
    std::cerr << "sotto: " << error.what() << '\n';
    return error.code() == ErrorCode::kBadInput ||
                   error.code() == ErrorCode::kNotFound
               ? kUsage
               : kFailed;
  } catch (const std::bad_alloc&) {
    std::cerr << "sotto: out of memory\n";
  } catch (const std::exception& error) {
    std::cerr << "sotto: internal error: " << error.what() << '\n';
  }
  return kFailed;
}

}  // namespace
}  // namespace sotto::cli

int main(int argc, char** argv) {
  std::ios::sync_with_stdio(false);
  const int status = sotto::cli::Main(argc, argv);
  // A full disk behind `>` has lost what was said.
  if (!std::cout.flush()) {
    std::cerr << "sotto: stdout: cannot write all of it\n";
    return sotto::cli::kFailed;
  }
  if (status != sotto::cli::kStopped) return status;
  sotto::EndByStopSignal();
  return status;
}
