// SPDX-License-Identifier: MIT
#include "decode/golden_test.h"

#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>

namespace sotto::testing {

std::vector<nlohmann::json> JsonLines(const std::string& path) {
  std::vector<nlohmann::json> lines;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);)
    lines.push_back(nlohmann::json::parse(line));
  return lines;
}

std::vector<nlohmann::json> Golden(const std::string& name) {
  return JsonLines(std::string(SOTTO_SOURCE_DIR) + "/tests/golden/decode/" +
                   name + ".jsonl");
}

}  // namespace sotto::testing
