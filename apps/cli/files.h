// SPDX-License-Identifier: MIT
// The files that a command line means.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace sotto::cli {

// Words in order; a folder stands for the audio and video files in it and
// below, by their endings, sorted. A missing file is kept: opening it gives the
// right message. An empty folder or an address is reported on stderr and clears
// *all_done.
std::vector<std::filesystem::path> ExpandFiles(
    std::span<const std::string> words, bool* all_done);

}  // namespace sotto::cli
