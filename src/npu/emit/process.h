// SPDX-License-Identifier: MIT
// Runs a program with a time-out, its output in a file.
#pragma once

#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

namespace sotto::npu {

struct ProcessResult {
  int exit_code = -1;  // -1: it could not be started, or a signal ended it
  bool timed_out = false;
  double seconds = 0;
};

// argv[0] is looked up in PATH unless it has a slash. Output and errors go to
// `log` (replaced). After the time-out the program and all its children are
// killed. Never throws for what the program does.
ProcessResult RunProcess(const std::vector<std::string>& argv,
                         const std::filesystem::path& folder,
                         const std::filesystem::path& log,
                         std::chrono::milliseconds timeout);

}  // namespace sotto::npu
