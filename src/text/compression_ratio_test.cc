// SPDX-License-Identifier: MIT
#include "text/compression_ratio.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

namespace sotto {
namespace {

TEST(CompressionRatio, EqualsPythons) {
  // len(text) / len(zlib.compress(text))
  EXPECT_DOUBLE_EQ(CompressionRatio("hello"), 5.0 / 13);
  EXPECT_DOUBLE_EQ(CompressionRatio(std::string(1000, 'a')), 1000.0 / 17);
  EXPECT_DOUBLE_EQ(CompressionRatio(""), 0);
}

// Real windows: the text of all segments that share a seek.
TEST(CompressionRatio, EqualsTheOracles) {
  const char* root = std::getenv("SOTTO_TEST_DATA");
  if (root == nullptr) GTEST_SKIP() << "SOTTO_TEST_DATA is not set";
  std::ifstream file(std::filesystem::path(root) /
                     "oracle/base/librispeech-mini.jsonl");
  int seen = 0;
  for (std::string line; std::getline(file, line);) {
    const auto segments =
        nlohmann::json::parse(line)["results"]["greedy_no_words"]["segments"];
    if (segments.size() != 1) continue;
    std::string text = segments[0]["text"];
    text.erase(0, text.find_first_not_of(' '));
    EXPECT_NEAR(CompressionRatio(text),
                segments[0]["compression_ratio"].get<double>(), 1e-6)
        << text;
    ++seen;
  }
  EXPECT_GT(seen, 5);
}

}  // namespace
}  // namespace sotto
