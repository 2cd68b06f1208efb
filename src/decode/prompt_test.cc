// SPDX-License-Identifier: MIT
#include "decode/prompt.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

#include "base/error.h"
#include "decode/test_util.h"

namespace sotto {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::RealEnglishTokens;
using testing::RealTokens;

std::vector<int> Count(int n) {
  std::vector<int> tokens(static_cast<size_t>(n));
  std::iota(tokens.begin(), tokens.end(), 1000);
  return tokens;
}

TEST(Prompt, MultilingualSotSequence) {
  SearchOptions options;
  EXPECT_THAT(SotSequence(options, RealTokens(), 50259),
              ElementsAre(50258, 50259, 50359));
  options.task = Task::kTranslate;
  options.without_timestamps = true;
  EXPECT_THAT(SotSequence(options, RealTokens(), 50265),
              ElementsAre(50258, 50265, 50358, 50363));
}

TEST(Prompt, EnglishOnlyTakesNeitherLanguageNorTask) {
  SearchOptions options;
  options.task = Task::kTranslate;
  EXPECT_THAT(SotSequence(options, RealEnglishTokens(), 50259),
              ElementsAre(50257));
}

TEST(Prompt, NothingBeforeTheSotWithoutPreviousText) {
  const Prompt prompt = BuildPrompt({}, RealTokens(), 50259, {}, 448);
  EXPECT_EQ(prompt.sot_index, 0);
  EXPECT_THAT(prompt.tokens, ElementsAre(50258, 50259, 50359));
}

TEST(Prompt, KeepsTheLast223TokensOfPreviousText) {
  for (const int n : {1, 222, 223, 224, 500}) {
    const std::vector<int> previous = Count(n);
    const Prompt prompt = BuildPrompt({}, RealTokens(), 50259, previous, 448);
    const int kept = std::min(n, 223);
    ASSERT_EQ(prompt.tokens.size(), static_cast<size_t>(1 + kept + 3)) << n;
    EXPECT_EQ(prompt.sot_index, 1 + kept);
    EXPECT_EQ(prompt.tokens[0], 50361);
    EXPECT_EQ(prompt.tokens[1], previous[static_cast<size_t>(n - kept)]);
    EXPECT_EQ(prompt.tokens[static_cast<size_t>(kept)], previous.back());
    EXPECT_EQ(prompt.tokens[static_cast<size_t>(prompt.sot_index)], 50258);
  }
}

TEST(Prompt, PrefixFollowsTheSotAndIsCutAtItsStart) {
  SearchOptions options;
  options.prefix = Count(10);
  options.sample_len = 220;  // leaves 4
  const Prompt prompt = BuildPrompt(options, RealTokens(), 50259, {}, 448);
  EXPECT_THAT(prompt.tokens,
              ElementsAre(50258, 50259, 50359, 1006, 1007, 1008, 1009));
  options.sample_len = 0;  // OpenAI's slice [-0:] keeps all
  EXPECT_EQ(BuildPrompt(options, RealTokens(), 50259, {}, 448).tokens.size(),
            13u);
  options.sample_len = 226;  // [2:]
  EXPECT_EQ(BuildPrompt(options, RealTokens(), 50259, {}, 448).tokens.size(),
            11u);
}

TEST(Prompt, MayFillTheContextButNoMore) {
  SearchOptions options;
  options.prefix = Count(445);
  EXPECT_EQ(BuildPrompt(options, RealTokens(), 50259, {}, 448).tokens.size(),
            448u);
  options.prefix = Count(446);
  try {
    BuildPrompt(options, RealTokens(), 50259, {}, 448);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kBadInput);
    EXPECT_THAT(error.what(), HasSubstr("449 tokens (446 of them the prefix)"));
  }
}

TEST(Prompt, RefusesTokensThatAreNotThere) {
  const std::vector<int> previous = {5, 51865};
  EXPECT_THROW(BuildPrompt({}, RealTokens(), 50259, previous, 448), Error);
  EXPECT_THROW(BuildPrompt({}, RealTokens(), -1, {}, 448), Error);
}

}  // namespace
}  // namespace sotto
