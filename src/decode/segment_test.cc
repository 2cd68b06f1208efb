// SPDX-License-Identifier: MIT
#include "decode/segment.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>

#include "decode/golden_test.h"
#include "decode/test_util.h"

namespace sotto {
namespace {

using ::testing::ElementsAre;
using testing::LetterText;
using testing::SmallTokens;

// "start-end text" of each segment, then the next seek. Times are 51 + n for
// n * 0.02 s.
std::vector<std::string> Split(std::vector<int> tokens, Window window) {
  const SpecialTokens t = SmallTokens(1501);
  Hypothesis result;
  result.tokens = std::move(tokens);
  WindowSegments split = SplitSegments(result, window, t, LetterText(t), 1500);
  ClearEmptySegments(&split.segments);
  std::vector<std::string> lines;
  for (const Segment& s : split.segments) {
    EXPECT_EQ(s.seek, window.seek);
    lines.push_back(fmt::format("{:.2f}-{:.2f}{}{}", s.start, s.end,
                                s.text.empty() ? "" : " ", s.text));
  }
  lines.push_back(fmt::format("{}", split.next_seek));
  return lines;
}

TEST(SplitSegments, PairsCutAndTheLastPairIsTheNextSeek) {
  EXPECT_THAT(Split({51, 1, 2, 151, 151, 3, 251, 251}, {500, 3000}),
              ElementsAre("5.00-7.00 bc", "7.00-9.00 d", "900"));
}

TEST(SplitSegments, AnUnfinishedSegmentIsLeftToTheNextWindow) {
  EXPECT_THAT(Split({51, 1, 151, 161, 3, 4}, {0, 3000}),
              ElementsAre("0.00-2.00 b", "200"));
}

TEST(SplitSegments, ASingleTimestampAtTheEndMeansSilenceAfterIt) {
  EXPECT_THAT(Split({51, 1, 151, 161, 3, 301}, {100, 3000}),
              ElementsAre("1.00-3.00 b", "3.20-6.00 d", "3100"));
}

TEST(SplitSegments, WithoutAPairAllIsOneSegment) {
  EXPECT_THAT(Split({51, 1, 2, 151}, {0, 1234}),
              ElementsAre("0.00-2.00 bc", "1234"));
  EXPECT_THAT(Split({56, 1, 2}, {0, 3000}),
              ElementsAre("0.00-0.10 bc", "3000"));
}

TEST(SplitSegments, WithoutATimeTheWindowsEndIsTheEnd) {
  EXPECT_THAT(Split({1, 2}, {1000, 1234}),
              ElementsAre("10.00-22.34 bc", "2234"));
  EXPECT_THAT(Split({51, 1, 2}, {0, 3000}),
              ElementsAre("0.00-30.00 bc", "3000"));
}

TEST(SplitSegments, NoTokensAreOneEmptySegment) {
  EXPECT_THAT(Split({}, {0, 700}), ElementsAre("0.00-7.00", "700"));
}

TEST(SplitSegments, BlankAndInstantaneousSegmentsAreCleared) {
  EXPECT_THAT(Split({51, 1, 151, 151, 0, 0, 251, 251, 3, 251, 251, 4, 301, 301},
                    {0, 3000}),
              ElementsAre("0.00-2.00 b", "2.00-4.00", "4.00-4.00",
                          "4.00-5.00 e", "500"));
}

TEST(SplitSegments, EqualTimesStandInBothSegments) {
  const SpecialTokens t = SmallTokens(1501);
  Hypothesis result;
  result.tokens = {51, 1, 431, 431, 2, 500, 500};
  const auto split = SplitSegments(result, {0, 3000}, t, LetterText(t), 1500);
  EXPECT_THAT(split.segments[0].tokens, ElementsAre(51, 1, 431));
  EXPECT_THAT(split.segments[1].tokens, ElementsAre(431, 2, 500));
  EXPECT_EQ(split.segments[1].id, 1);
}

TEST(SplitSegments, AlwaysMovesOn) {
  EXPECT_THAT(Split({51, 51}, {100, 200}), ElementsAre("1.00-1.00", "300"));
  EXPECT_THAT(Split({51, 51, 1}, {0, 1}), ElementsAre("0.00-0.00", "1"));
}

TEST(SplitSegments, TextBeforeTheFirstTimeStartsWithTheWindow) {
  EXPECT_THAT(Split({1, 151, 151, 2, 201, 201}, {100, 3000}),
              ElementsAre("1.00-3.00 b", "3.00-4.00 c", "400"));
}

TEST(SplitSegments, OtherEncoderLengthsHaveOtherTimeSteps) {
  const SpecialTokens t = SmallTokens(1501);
  Hypothesis result;
  result.tokens = {51, 1, 61, 61};
  const auto split = SplitSegments(result, {0, 3000}, t, LetterText(t), 750);
  EXPECT_DOUBLE_EQ(split.segments[0].end, 10 * 0.04);
  EXPECT_EQ(split.next_seek, 40);
}

// ---- against what openai-whisper said of real speech ----

SpecialTokens TokensOf(const std::string& model) {
  return model == "base" ? testing::RealTokens() : testing::RealEnglishTokens();
}

// Rebuilds each window's tokens from the segments that it gave, splits them,
// and compares. What follows a window's last pair is not in the oracle: the
// window ends in that pair, or in one time if the next window starts later.
class Oracle {
 public:
  Oracle(SpecialTokens tokens, const nlohmann::json& result, int frames,
         std::string name)
      : tokens_(std::move(tokens)), frames_(frames), name_(std::move(name)) {
    for (const nlohmann::json& segment : result["segments"])
      by_seek_[segment["seek"].get<int>()].push_back(segment);
  }

  void Check() {
    for (auto it = by_seek_.begin(); it != by_seek_.end(); ++it) {
      const auto next = std::next(it);
      CheckWindow(it->first, it->second,
                  next == by_seek_.end() ? -1 : next->first);
    }
  }
  static inline int windows = 0;
  static inline int seeks = 0;

 private:
  void CheckWindow(int seek, const std::vector<nlohmann::json>& want,
                   int next_seek) {
    const Window window{seek, std::min(3000, frames_ - seek)};
    Hypothesis result;
    for (const nlohmann::json& segment : want)
      for (const int token : segment["tokens"]) result.tokens.push_back(token);
    // A cleared segment has lost its tokens, so its window cannot be rebuilt.
    for (const nlohmann::json& segment : want)
      if (segment["tokens"].empty()) return;
    const int last = result.tokens.back();
    const int pair_seek = seek + (last - tokens_.timestamp_begin) * 2;
    const bool paired = tokens_.IsTimestamp(last) && next_seek == pair_seek;
    if (paired) result.tokens.push_back(last);
    const WindowSegments got = SplitSegments(
        result, window, tokens_, testing::LetterText(tokens_), 1500);
    ASSERT_EQ(got.segments.size(), want.size()) << name_ << " seek " << seek;
    for (size_t i = 0; i < want.size(); ++i) {
      EXPECT_EQ(got.segments[i].tokens,
                want[i]["tokens"].get<std::vector<int>>())
          << name_;
      // The oracle rounds to milliseconds.
      EXPECT_NEAR(got.segments[i].start, want[i]["start"].get<double>(), 6e-4);
      EXPECT_NEAR(got.segments[i].end, want[i]["end"].get<double>(), 6e-4);
    }
    ++windows;
    if (next_seek < 0) return;
    ++seeks;
    // Windows taken for silence lie between, where seek is not the next.
    EXPECT_LE(got.next_seek, next_seek) << name_ << " seek " << seek;
    if (paired)
      EXPECT_EQ(got.next_seek, next_seek) << name_ << " seek " << seek;
    else
      EXPECT_EQ((next_seek - got.next_seek) % 3000, 0) << name_;
  }

  SpecialTokens tokens_;
  int frames_;
  std::string name_;
  std::map<int, std::vector<nlohmann::json>> by_seek_;
};

TEST(SplitSegments, GivesTheSegmentsOfTheOracle) {
  const auto data = testing::TestData();
  if (!data) GTEST_SKIP() << "SOTTO_TEST_DATA is not set";
  for (const std::string model : {"tiny.en", "base"}) {
    for (const std::string set :
         {"jfk", "librispeech-mini", "common-voice-en-mini",
          "multilingual-azure", "multilingual-leopard", "long"}) {
      const std::string path =
          fmt::format("{}/oracle/{}/{}.jsonl", *data, model, set);
      for (const nlohmann::json& line : testing::JsonLines(path)) {
        const int frames = line["n_samples"].get<int>() / 160;
        const std::string file = line["file"];
        if (line.contains("result")) {
          if (line["options"] != "greedy")
            Oracle(TokensOf(model), line["result"], frames, path).Check();
          continue;
        }
        for (const auto& [name, result] : line["results"].items())
          if (name != "greedy")  // its times are those of words
            Oracle(TokensOf(model), result, frames, path + ":" + file).Check();
      }
    }
  }
  EXPECT_GT(Oracle::windows, 800);
  EXPECT_GT(Oracle::seeks, 60);
}

}  // namespace
}  // namespace sotto
