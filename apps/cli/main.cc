// SPDX-License-Identifier: MIT
// sotto: the command line. Results go to stdout, everything else to stderr.
#include <iostream>
#include <new>
#include <string>
#include <vector>

#include "apps/cli/commands.h"
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
              << std::string(12 - std::min<size_t>(11, command.name.size()), ' ')
              << command.summary << '\n';
  std::cout << "\n`sotto COMMAND --help` tells its options, "
               "`sotto --version` the version.\n";
}

int Dispatch(std::vector<std::string> args) {
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
  if (status != sotto::cli::kStopped) return status;
  std::cout.flush();
  sotto::EndByStopSignal();
  return status;
}
