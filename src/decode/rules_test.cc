// SPDX-License-Identifier: MIT
#include "decode/rules.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "base/error.h"
#include "decode/golden_test.h"
#include "decode/test_util.h"

namespace sotto {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::kNone;
using testing::RealTokens;
using testing::ScriptRow;
using testing::SmallTokens;

// One history and the row it leaves, where all logits were 0 but `raised`.
std::vector<float> After(const LogitRule& rule, std::vector<int> sampled,
                         int n_vocab, std::vector<int> raised = {},
                         float by = 9.0f) {
  std::vector<float> row(static_cast<size_t>(n_vocab), 0.0f);
  for (const int token : raised) row[static_cast<size_t>(token)] = by;
  rule.Apply(sampled, row);
  return row;
}

// "a-b c-d": the ranges of allowed tokens.
std::string Allowed(const std::vector<float>& row) {
  std::string text;
  for (size_t i = 0; i < row.size(); ++i) {
    if (row[i] == kNone) continue;
    size_t end = i;
    while (end + 1 < row.size() && row[end + 1] != kNone) ++end;
    text += fmt::format("{}{}-{}", text.empty() ? "" : " ", i, end);
    i = end;
  }
  return text;
}

TEST(SuppressBlank, OnlyAtTheStart) {
  const SuppressBlank rule(SmallTokens());
  EXPECT_EQ(Allowed(After(rule, {}, 152)), "1-39 41-151");
  EXPECT_EQ(Allowed(After(rule, {51}, 152)), "0-151");
}

TEST(SuppressTokens, Always) {
  const SuppressTokens rule({0, 5, 151});
  EXPECT_EQ(Allowed(After(rule, {}, 152)), "1-4 6-150");
  EXPECT_EQ(Allowed(After(rule, {51, 5}, 152)), "1-4 6-150");
}

// Small tokens: text 0-39, end 40, times 51-151, <|notimestamps|> 50.
class TimestampRulesTest : public ::testing::Test {
 protected:
  std::string After(std::vector<int> sampled, std::vector<int> raised = {},
                    std::optional<int> max_initial = {}) const {
    const TimestampRules rule(SmallTokens(), max_initial);
    return Allowed(
        sotto::After(rule, std::move(sampled), 152, std::move(raised)));
  }
};

TEST_F(TimestampRulesTest, AWindowStartsWithATimestamp) {
  EXPECT_EQ(After({}, {5}), "51-151");
}

TEST_F(TimestampRulesTest, NoLaterThanTheInitialBound) {
  EXPECT_EQ(After({}, {5, 130}, 50), "51-101");
  EXPECT_EQ(After({}, {}, 0), "51-51");
  EXPECT_EQ(After({}, {}, 99), "51-150");
  EXPECT_EQ(After({}, {}, 100), "51-151");
  EXPECT_EQ(After({}, {}, 5000), "51-151");
}

TEST_F(TimestampRulesTest, TheBoundIsForTheStartOnly) {
  EXPECT_EQ(After({51, 5}, {130}, 50), "52-151");
}

TEST_F(TimestampRulesTest, TextFollowsTheFirstTimestamp) {
  EXPECT_EQ(After({51}, {130}), "0-49");
  EXPECT_EQ(After({151}), "0-49");
}

TEST_F(TimestampRulesTest, TextFollowsAPair) {
  EXPECT_EQ(After({51, 5, 60, 60}, {130}), "0-49");
  EXPECT_EQ(After({51, 5, 60, 70}, {130}), "0-49");
}

TEST_F(TimestampRulesTest, AnEndIsFollowedByAStartOrTheEndOfText) {
  // The tokens from 40 on that are no times are left to SuppressTokens.
  EXPECT_EQ(After({51, 5, 60}, {5, 40}), "40-49 60-151");
}

TEST_F(TimestampRulesTest, TheStartMayEqualTheEndBeforeIt) {
  EXPECT_EQ(After({51, 5, 60}, {60}), "60-151");
}

TEST_F(TimestampRulesTest, AnEndIsLaterThanItsStart) {
  EXPECT_EQ(After({51, 5}, {51, 52}), "52-151");
  EXPECT_EQ(After({51, 5, 60, 60, 7}, {60, 61}), "61-151");
}

TEST_F(TimestampRulesTest, NothingIsLaterThanTheLastTimestamp) {
  EXPECT_EQ(After({51, 5, 151, 151, 6}, {151}), "0-49");
  EXPECT_EQ(After({51, 5, 151}, {151}), "151-151");
}

TEST_F(TimestampRulesTest, TextGoesOnWhereItIsLikelier) {
  // One token of e^9 against a hundred of 1.
  EXPECT_EQ(After({51, 5}, {7}), "0-49 52-151");
}

TEST_F(TimestampRulesTest, ManyUnlikelyTimestampsOutweighOneToken) {
  const TimestampRules rule(SmallTokens(), {});
  // 100 times of e^0 against e^4.5 and e^4.7: log(100) is 4.605.
  EXPECT_EQ(Allowed(sotto::After(rule, {51, 5}, 152, {7}, 4.5f)), "52-151");
  EXPECT_EQ(Allowed(sotto::After(rule, {51, 5}, 152, {7}, 4.7f)),
            "0-49 52-151");
}

TEST_F(TimestampRulesTest, TheEndOfTextCountsAsAnyOtherToken) {
  EXPECT_EQ(After({51, 5, 60, 60, 7}, {40}), "0-49 61-151");
}

TEST_F(TimestampRulesTest, ForbiddenTimestampsWeighNothing) {
  // All likely times are in the past.
  EXPECT_EQ(After({51, 5, 150, 150, 7}, {60, 61, 62, 150}), "0-49 151-151");
}

TEST(BuildRules, InOpenAisOrder) {
  SearchOptions options;
  std::vector<std::string> names;
  for (const auto& rule : BuildRules(options, RealTokens(), 1500))
    names.push_back(rule->name());
  EXPECT_THAT(names,
              ElementsAre("suppress_blank", "suppress_tokens", "timestamps"));
  options.suppress_blank = false;
  options.suppress_tokens = {};
  options.without_timestamps = true;
  EXPECT_THAT(BuildRules(options, RealTokens(), 1500), IsEmpty());
}

TEST(BuildRules, TheInitialBoundIsRoundedToATimestamp) {
  // 1.0 s is 50 steps of 30 s / 1500.
  for (const auto& [seconds, last] :
       std::vector<std::pair<double, int>>{{1.0, 50},
                                           {0.02, 1},
                                           {0.029, 1},
                                           {0.031, 2},
                                           {0.0, 1500},
                                           {30.0, 1500},
                                           {1e300, 1500}}) {
    SearchOptions options;
    options.max_initial_timestamp = seconds;
    std::vector<float> row(51865, 0.0f);
    BuildRules(options, RealTokens(), 1500).back()->Apply({}, row);
    const std::string want = fmt::format("50364-{}", 50364 + last);
    EXPECT_EQ(Allowed(row), want) << seconds;
  }
}

TEST(SuppressedTokens, MinusOneIsTheNonSpeechSymbols) {
  SearchOptions options;
  const SpecialTokens t = SmallTokens();
  EXPECT_THAT(SuppressedTokens(options, t),
              ElementsAre(37, 38, 39, 41, 45, 46, 47, 48, 49));
  options.suppress_tokens = {5, 41};
  EXPECT_THAT(SuppressedTokens(options, t),
              ElementsAre(5, 41, 45, 46, 47, 48, 49));
  options.suppress_tokens = {5, -1};
  EXPECT_THAT(SuppressedTokens(options, t),
              ElementsAre(5, 37, 38, 39, 41, 45, 46, 47, 48, 49));
}

TEST(SuppressedTokens, NamesATokenThatIsNotThere) {
  SearchOptions options;
  options.suppress_tokens = {5, 152};
  try {
    SuppressedTokens(options, SmallTokens());
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kBadInput);
    EXPECT_THAT(error.what(), HasSubstr("no token 152, want 0 to 151"));
  }
}

TEST(SpecialTokens, NamesAnIdThatCannotBe) {
  SpecialTokens t = SmallTokens();
  t.Check();
  t.timestamp_begin = 40;
  EXPECT_THROW(t.Check(), Error);
  t = SmallTokens();
  t.no_speech = 152;
  try {
    BuildRules({}, t, 1500);
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(),
                HasSubstr("<|nospeech|> is token 152, want -1 to 151"));
  }
}

// All rules against what decoding.py of openai-whisper answered.
TEST(Rules, AllowWhatOpenAiAllows) {
  int cases = 0;
  for (const nlohmann::json& line : testing::Golden("rules")) {
    SearchOptions options;
    options.suppress_blank = line["suppress_blank"];
    options.suppress_tokens =
        ParseSuppressTokens(line["suppress_tokens"].get<std::string>());
    options.without_timestamps = line["without_timestamps"];
    options.max_initial_timestamp = line["max_initial_timestamp"];
    const std::vector<int> history = line["history"];
    std::vector<float> row(152);
    ScriptRow(line["seed"], history, line["span"], row);
    for (const auto& rule : BuildRules(options, SmallTokens(), 1500))
      rule->Apply(history, row);
    // 152 bits in hexadecimal, the highest token first.
    const std::string want = line["allowed"];
    for (int token = 0; token < 152; ++token) {
      const char digit = want[37 - static_cast<size_t>(token) / 4];
      const int bits = digit <= '9' ? digit - '0' : digit - 'a' + 10;
      EXPECT_EQ(row[static_cast<size_t>(token)] != kNone,
                (bits >> (token % 4) & 1) != 0)
          << "token " << token << " of " << line.dump();
    }
    ++cases;
  }
  EXPECT_EQ(cases, 300);
}

// The timestamp rules said again, as slowly as they read, over sets.
std::set<int> SlowAllowed(const std::vector<int>& history,
                          const std::vector<float>& row, const SpecialTokens& t,
                          int max_initial) {
  std::vector<int> times;
  for (const int token : history)
    if (token >= t.timestamp_begin) times.push_back(token);
  const auto time_at = [&](size_t from_end) {
    return history[history.size() - from_end] >= t.timestamp_begin;
  };
  std::set<int> allowed;
  for (int token = 0; token < t.n_vocab; ++token) {
    const bool time = token >= t.timestamp_begin;
    bool ok = token != t.no_timestamps;
    if (history.empty()) {
      ok = ok && time && token - t.timestamp_begin <= max_initial;
    } else if (time_at(1)) {
      const bool paired = history.size() == 1 || time_at(2);
      if (paired) ok = ok && !time;
      if (!paired) ok = ok && (token >= t.eot);
      if (!paired && time) ok = ok && token >= times.back();
    } else if (time && !times.empty()) {
      ok = ok && token > times.back();
    }
    // A pair of the past binds even where the order below was broken.
    if (time && !times.empty() && token < times.back()) ok = false;
    if (ok) allowed.insert(token);
  }
  double mass = 0, best = -1;
  for (const int token : allowed) {
    const double p =
        std::exp(static_cast<double>(row[static_cast<size_t>(token)]));
    if (token >= t.timestamp_begin) mass += p;
    if (token < t.timestamp_begin) best = std::max(best, p);
  }
  if (mass > best && mass > 0)
    std::erase_if(allowed,
                  [&](int token) { return token < t.timestamp_begin; });
  return allowed;
}

TEST(TimestampRules, EqualASlowerTellingOfThem) {
  const SpecialTokens t = SmallTokens(30);
  const int max_initial = 7;
  const TimestampRules rule(t, max_initial);
  Random random(20);
  int both = 0, only_times = 0;
  for (int trial = 0; trial < 10000; ++trial) {
    std::vector<int> history;
    const size_t length = random.Next() % 8;
    while (history.size() < length) {
      const bool time = random.Uniform() < 0.5;
      const int token = time ? 51 + static_cast<int>(random.Next() % 30)
                             : static_cast<int>(random.Next() % 40);
      history.push_back(token);
    }
    const float spans[] = {0.5f, 2.0f, 8.0f};
    std::vector<float> row =
        testing::RandomRow(t.n_vocab, random, spans[random.Next() % 3]);
    const std::set<int> want = SlowAllowed(history, row, t, max_initial);
    rule.Apply(history, row);
    std::set<int> got;
    for (int token = 0; token < t.n_vocab; ++token)
      if (row[static_cast<size_t>(token)] != kNone) got.insert(token);
    ASSERT_EQ(got, want) << "trial " << trial << ", history "
                         << ::testing::PrintToString(history);
    const bool text = !got.empty() && *got.begin() < 40;
    const bool times = !got.empty() && *got.rbegin() >= 51;
    both += text && times;
    only_times += !text && times;
  }
  // The trials must have met each outcome often.
  EXPECT_GT(both, 500);
  EXPECT_GT(only_times, 500);
}

}  // namespace
}  // namespace sotto
