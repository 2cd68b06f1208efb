// SPDX-License-Identifier: MIT
// Against whisper-normalizer 0.1.15: tests/data/normalizer, made by
// tools/make_normalizer_golden.py.
#include "text/normalize.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "base/file.h"
#include "text/unicode.h"

namespace sotto {
namespace {

using nlohmann::json;

json Golden(const char* name) {
  const char* folder = std::getenv("SOTTO_NORMALIZER_GOLDEN");
  const std::filesystem::path path =
      folder != nullptr ? std::filesystem::path(folder)
                        : std::filesystem::path(SOTTO_SOURCE_DIR) / "tests" /
                              "data" / "normalizer";
  return json::parse(ReadFile(path / name));
}

TEST(EnglishNormalizer, EqualsThePythonPackage) {
  const EnglishNormalizer normalize;
  for (const json& row : Golden("english.json"))
    EXPECT_EQ(normalize(row[0].get<std::string>()), row[1].get<std::string>())
        << row[0];
}

TEST(BasicNormalizer, EqualsThePythonPackage) {
  for (const json& row : Golden("basic.json")) {
    const std::string text = row[0];
    EXPECT_EQ(NormalizeBasic(text), row[1].get<std::string>());
    EXPECT_EQ(NormalizeBasic(text, {.remove_diacritics = true}),
              row[2].get<std::string>());
    EXPECT_EQ(NormalizeBasic(text, {.split_letters = true}),
              row[3].get<std::string>());
  }
}

TEST(EnglishNormalizer, TakesAnyBytes) {
  const EnglishNormalizer normalize;
  EXPECT_EQ(normalize(""), "");
  EXPECT_EQ(normalize("\xFF one \xE2\x82"), normalize("\uFFFD one \uFFFD"));
}

TEST(LowerCase, KnowsTheEndOfAWord) {
  EXPECT_EQ(LowerCase("ΟΔΥΣΣΕΥΣ Σ"), "οδυσσευς σ");
  EXPECT_EQ(LowerCase("İ"), "i\u0307");
}

TEST(DigitValue, CountsInEveryScript) {
  EXPECT_EQ(DigitValue(U'7'), 7);
  EXPECT_EQ(DigitValue(U'٣'), 3);
  EXPECT_EQ(DigitValue(0x1D7FF), 9);
  EXPECT_EQ(DigitValue(U'x'), -1);
  EXPECT_EQ(DigitValue(U'½'), -1);
}

}  // namespace
}  // namespace sotto
