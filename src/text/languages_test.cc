// SPDX-License-Identifier: MIT
#include "text/languages.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "base/error.h"

namespace sotto {
namespace {

std::string MessageFor(const char* name) {
  try {
    ParseLanguage(name);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(Languages, AreOneHundredInTokenOrder) {
  ASSERT_EQ(Languages().size(), 100u);
  EXPECT_EQ(Languages()[0].code, "en");
  EXPECT_EQ(Languages()[1].code, "zh");
  EXPECT_EQ(Languages()[98].code, "su");
  EXPECT_EQ(Languages()[99].code, "yue");
}

TEST(Languages, CodesAndNamesAreDistinctAndFound) {
  std::set<std::string_view> seen;
  for (const Language& language : Languages()) {
    EXPECT_TRUE(seen.insert(language.code).second) << language.code;
    EXPECT_TRUE(seen.insert(language.name).second) << language.name;
    EXPECT_EQ(FindLanguage(language.code), language.code);
    EXPECT_EQ(FindLanguage(language.name), language.code);
    EXPECT_EQ(LanguageName(language.code), language.name);
  }
}

TEST(Languages, TakesAliasesInAnyCase) {
  EXPECT_EQ(ParseLanguage("Castilian"), "es");
  EXPECT_EQ(ParseLanguage("MANDARIN"), "zh");
  EXPECT_EQ(ParseLanguage("Haitian"), "ht");
  EXPECT_EQ(ParseLanguage("haitian CREOLE"), "ht");
  EXPECT_EQ(ParseLanguage("EN"), "en");
  EXPECT_EQ(ParseLanguage("iw"), "he");
}

TEST(Languages, NamesTheNearest) {
  EXPECT_EQ(MessageFor("germn"),
            "unknown language 'germn', did you mean 'german'?");
  EXPECT_THAT(MessageFor("xx"), ::testing::HasSubstr("unknown language 'xx'"));
  EXPECT_THAT(MessageFor("klingonese"), ::testing::HasSubstr("want a code"));
  EXPECT_EQ(FindLanguage(""), std::nullopt);
}

}  // namespace
}  // namespace sotto
