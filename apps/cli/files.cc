// SPDX-License-Identifier: MIT
#include "apps/cli/files.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <iostream>
#include <string_view>

namespace sotto::cli {
namespace {

// Endings that hold sound. Files named on the command line are opened whatever
// their name is.
constexpr std::array<std::string_view, 26> kEndings = {
    ".wav",  ".flac", ".mp3", ".m4a", ".ogg", ".oga", ".opus", ".mp4", ".m4v",
    ".webm", ".mkv",  ".mka", ".mov", ".aac", ".aif", ".aiff", ".avi", ".wma",
    ".mp2",  ".mpga", ".mpg", ".ts",  ".amr", ".3gp", ".caf",  ".w64"};

bool HoldsSound(const std::filesystem::path& path) {
  std::string ending = path.extension().string();
  std::transform(ending.begin(), ending.end(), ending.begin(), [](char c) {
    return static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  });
  return std::find(kEndings.begin(), kEndings.end(), ending) != kEndings.end();
}

}  // namespace

std::vector<std::filesystem::path> ExpandFiles(
    std::span<const std::string> words, bool* all_done) {
  std::vector<std::filesystem::path> files;
  for (const std::string& word : words) {
    std::error_code error;
    if (word.find("://") != std::string::npos &&
        !std::filesystem::exists(word, error)) {
      std::cerr << "sotto: " << word
                << ": an address, want a file; `curl -sL ADDRESS | sotto -` "
                   "reads it\n";
      *all_done = false;
      continue;
    }
    if (word == "-" || !std::filesystem::is_directory(word, error)) {
      files.emplace_back(word);
      continue;
    }
    std::vector<std::filesystem::path> found;
    for (std::filesystem::recursive_directory_iterator it(
             word, std::filesystem::directory_options::skip_permission_denied,
             error),
         end;
         !error && it != end; it.increment(error))
      if (it->is_regular_file(error) && HoldsSound(it->path()))
        found.push_back(it->path());
    if (found.empty()) {
      std::cerr << "sotto: " << word << ": no audio or video files in it\n";
      *all_done = false;
    }
    std::sort(found.begin(), found.end());
    files.insert(files.end(), found.begin(), found.end());
  }
  return files;
}

}  // namespace sotto::cli
