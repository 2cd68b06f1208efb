// SPDX-License-Identifier: MIT
// Answers of other programs that the tests compare with.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace sotto::testing {

// The lines of tests/golden/decode/NAME.jsonl.
std::vector<nlohmann::json> Golden(const std::string& name);
// The lines of a file of JSON lines; none where it cannot be opened.
std::vector<nlohmann::json> JsonLines(const std::string& path);

}  // namespace sotto::testing
