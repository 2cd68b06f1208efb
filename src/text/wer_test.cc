// SPDX-License-Identifier: MIT
// Against jiwer 4: tests/data/normalizer/wer.json, and the table of the
// oracle's README.
#include "text/wer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/file.h"
#include "text/normalize.h"

namespace sotto {
namespace {

using nlohmann::json;

std::filesystem::path GoldenFolder() {
  const char* folder = std::getenv("SOTTO_NORMALIZER_GOLDEN");
  if (folder != nullptr) return folder;
  return std::filesystem::path(SOTTO_SOURCE_DIR) / "tests/data/normalizer";
}

std::vector<std::string> Letters(const std::string& text) {
  std::vector<std::string> words;
  for (const char c : text) words.emplace_back(1, c);
  return words;
}

TEST(CountErrors, EqualsJiwer) {
  for (const json& row : json::parse(ReadFile(GoldenFolder() / "wer.json"))) {
    const auto reference = Letters(row[0]), hypothesis = Letters(row[1]);
    const WerCounts want = {.words = static_cast<int>(reference.size()),
                            .hits = row[2],
                            .insertions = row[3],
                            .deletions = row[4],
                            .substitutions = row[5]};
    EXPECT_EQ(CountErrors(reference, hypothesis), want) << row;
  }
}

TEST(CountErrors, OfNothing) {
  EXPECT_EQ(CountErrors("", ""), WerCounts());
  EXPECT_EQ(WerCounts().wer(), 0);
  EXPECT_EQ(CountErrors("", "a b").insertions, 2);
  EXPECT_EQ(CountErrors("", "a b").wer(), 1);
  EXPECT_EQ(CountErrors(" a  b ", "").deletions, 2);
  EXPECT_EQ(CountErrors("a b", "a b").hits, 2);
}

struct Published {
  const char* model;
  const char* set;
  int words;
  double percent;
};

// The whole way from transcripts to a rate, as published with the data.
class OracleTable : public ::testing::TestWithParam<Published> {};

TEST_P(OracleTable, ComesOut) {
  const char* root = std::getenv("SOTTO_TEST_DATA");
  if (root == nullptr) GTEST_SKIP() << "SOTTO_TEST_DATA is not set";
  const auto& [model, set, words, percent] = GetParam();
  std::ifstream file(std::filesystem::path(root) / "oracle" / model /
                     (std::string(set) + ".jsonl"));
  const EnglishNormalizer normalize;
  WerCounts total;
  for (std::string line; std::getline(file, line);) {
    const json record = json::parse(line);
    const std::string reference = record["reference"];
    const std::string heard = record["results"]["greedy"]["text"];
    total += CountErrors(normalize(reference), normalize(heard));
  }
  EXPECT_EQ(total.words, words);
  EXPECT_EQ(std::round(total.wer() * 1e4) / 100, percent);
}

INSTANTIATE_TEST_SUITE_P(
    English, OracleTable,
    ::testing::Values(Published{"tiny.en", "jfk", 44, 0.0},
                      Published{"tiny.en", "librispeech-mini", 926, 5.18},
                      Published{"tiny.en", "common-voice-en-mini", 951, 12.72},
                      Published{"base", "librispeech-mini", 926, 5.72},
                      Published{"base", "common-voice-en-mini", 951, 10.09}));

}  // namespace
}  // namespace sotto
