// SPDX-License-Identifier: MIT
// The one-line files of /proc and /sys.
#pragma once

#include <filesystem>
#include <fstream>
#include <string>

namespace sotto {

// Without its line end; empty where there is no such file.
inline std::string FirstLine(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

}  // namespace sotto
