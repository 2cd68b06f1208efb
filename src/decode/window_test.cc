// SPDX-License-Identifier: MIT
#include "decode/window.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "decode/fallback.h"
#include "decode/golden_test.h"
#include "decode/test_util.h"

namespace sotto {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::LetterText;
using testing::SmallTokens;

const SpecialTokens& Tokens() {
  static const SpecialTokens tokens = SmallTokens(1501);
  return tokens;
}

WindowCursor Cursor(const LongFormOptions& options, int frames,
                    const FallbackOptions& fallback = {},
                    int n_text_ctx = 448) {
  return WindowCursor(options, fallback, Tokens(), LetterText(Tokens()), frames,
                      n_text_ctx, 1500);
}

Hypothesis Said(std::vector<int> tokens, double temperature = 0) {
  Hypothesis result;
  result.tokens = std::move(tokens);
  result.avg_logprob = -0.3;
  result.temperature = temperature;
  return result;
}

// All windows where each is decoded to one segment up to its end.
std::vector<std::pair<int, int>> Windows(std::vector<double> clips,
                                         int frames) {
  WindowCursor cursor = Cursor({.clip_timestamps = std::move(clips)}, frames);
  std::vector<std::pair<int, int>> windows;
  while (const auto window = cursor.Next()) {
    windows.emplace_back(window->seek, window->frames);
    cursor.Accept(Said({51, 1, 100}));
  }
  EXPECT_EQ(cursor.Next(), std::nullopt);
  return windows;
}

using Pair = std::pair<int, int>;

TEST(WindowCursor, CutsTheFileIntoWindows) {
  EXPECT_THAT(Windows({0}, 0), IsEmpty());
  EXPECT_THAT(Windows({0}, 1), ElementsAre(Pair(0, 1)));
  EXPECT_THAT(Windows({0}, 3000), ElementsAre(Pair(0, 3000)));
  EXPECT_THAT(Windows({}, 6001),
              ElementsAre(Pair(0, 3000), Pair(3000, 3000), Pair(6000, 1)));
}

// A guess comes true where all of a window is used, and only there.
TEST(WindowCursor, GuessesTheWindowAfterAllOfThisOne) {
  WindowCursor cursor = Cursor({.clip_timestamps = {5, 45, 50, 60}}, 9000);
  EXPECT_EQ(cursor.Guess(), (Window{500, 3000}));
  EXPECT_EQ(cursor.Next(), (Window{500, 3000}));
  EXPECT_EQ(cursor.Guess(), (Window{3500, 1000}));
  EXPECT_EQ(cursor.Guess(), (Window{3500, 1000}));  // moves nothing
  cursor.Accept(Said({51, 1, 61, 61, 2}));  // a pair: goes on from there
  EXPECT_EQ(cursor.Next(), (Window{520, 3000}));
  EXPECT_EQ(cursor.Guess(), (Window{3520, 980}));
  cursor.Accept(Said({51, 1, 100}));
  EXPECT_EQ(cursor.Next(), (Window{3520, 980}));
  EXPECT_EQ(cursor.Guess(), (Window{5000, 1000}));
  cursor.Accept(Said({51, 1, 100}));
  EXPECT_EQ(cursor.Next(), (Window{5000, 1000}));
  EXPECT_EQ(cursor.Guess(), std::nullopt);
  cursor.Accept(Said({51, 1, 100}));
  EXPECT_EQ(cursor.Next(), std::nullopt);
  EXPECT_EQ(Cursor({}, 0).Guess(), std::nullopt);
}

TEST(WindowCursor, ClipsBoundWindows) {
  EXPECT_THAT(Windows({1.5, 2.005, 10, 45}, 9000),
              ElementsAre(Pair(150, 50), Pair(1000, 3000), Pair(4000, 500)));
  EXPECT_THAT(Windows({80}, 9000), ElementsAre(Pair(8000, 1000)));
  EXPECT_THAT(Windows({200}, 9000), IsEmpty());
}

TEST(WindowCursor, ClipsEndWithTheSound) {
  EXPECT_THAT(Windows({0, 500}, 3500),
              ElementsAre(Pair(0, 3000), Pair(3000, 500)));
  EXPECT_THAT(Windows({50, 60, 10, 20}, 3500), ElementsAre(Pair(1000, 1000)));
}

TEST(WindowCursor, RefusesTimesThatCannotBe) {
  EXPECT_THROW(Windows({-1}, 100), Error);
  EXPECT_THROW(Windows({0, 1e30}, 100), Error);
}

TEST(WindowCursor, TheNextWindowIsToldWhatWasSaid) {
  WindowCursor cursor = Cursor({}, 9000);
  cursor.Next();
  EXPECT_THAT(cursor.PreviousText(), IsEmpty());
  cursor.Accept(Said({51, 1, 101, 101, 2, 151, 151}));
  EXPECT_EQ(cursor.Next(), (Window{200, 3000}));
  EXPECT_THAT(cursor.PreviousText(), ElementsAre(51, 1, 101, 101, 2, 151));
}

TEST(WindowCursor, NotWhereItMustNotOrWasTooWild) {
  WindowCursor cursor = Cursor({.condition_on_previous_text = false}, 9000);
  cursor.Next();
  cursor.Accept(Said({51, 1, 101}));
  cursor.Next();
  EXPECT_THAT(cursor.PreviousText(), IsEmpty());

  WindowCursor wild = Cursor({}, 99000);
  for (const double temperature : {0.5, 0.6, 0.0}) {
    wild.Next();
    wild.Accept(Said({51, 1, 101}, temperature));
    EXPECT_EQ(wild.PreviousText().empty(), temperature > 0.5) << temperature;
  }
}

TEST(WindowCursor, AnInitialPromptIsToldOnceOrAlways) {
  for (const bool carry : {false, true}) {
    WindowCursor cursor = Cursor({.condition_on_previous_text = false,
                                  .initial_prompt = {7, 8},
                                  .carry_initial_prompt = carry},
                                 9000);
    cursor.Next();
    EXPECT_THAT(cursor.PreviousText(), ElementsAre(7, 8));
    cursor.Accept(Said({51, 1, 101}));
    cursor.Next();
    EXPECT_EQ(cursor.PreviousText().size(), carry ? 2u : 0u);
    EXPECT_EQ(cursor.Finish("en").text, "b");
  }
}

TEST(WindowCursor, ACarriedPromptLeavesRoomForTheRest) {
  WindowCursor cursor =
      Cursor({.initial_prompt = {7, 8, 9}, .carry_initial_prompt = true}, 9000,
             {}, 20);
  cursor.Next();
  cursor.Accept(Said({51, 1, 2, 3, 4, 5, 6, 7, 101}));
  cursor.Next();
  // 20 / 2 - 1 tokens: the three and the last six.
  EXPECT_THAT(cursor.PreviousText(), ElementsAre(7, 8, 9, 3, 4, 5, 6, 7, 101));
}

TEST(WindowCursor, SilenceIsPassedOver) {
  WindowCursor cursor = Cursor({}, 9000);
  cursor.Next();
  Hypothesis silence = Said({51, 1, 101, 101});
  silence.no_speech_prob = 0.9;
  silence.avg_logprob = -1.5;
  EXPECT_THAT(cursor.Accept(silence), IsEmpty());
  EXPECT_EQ(cursor.Next(), (Window{3000, 3000}));
  EXPECT_THAT(cursor.PreviousText(), IsEmpty());
  EXPECT_EQ(cursor.position(), 3000);
}

TEST(WindowCursor, NumbersSegmentsThroughTheFile) {
  WindowCursor cursor = Cursor({}, 9000);
  cursor.Next();
  EXPECT_EQ(cursor.Accept(Said({51, 1, 101, 101, 2, 151, 151})).size(), 2u);
  cursor.Next();
  const auto second = cursor.Accept(Said({51, 3, 101}));
  ASSERT_EQ(second.size(), 1u);
  EXPECT_EQ(second[0].id, 2);
  EXPECT_EQ(second[0].seek, 200);
  EXPECT_DOUBLE_EQ(second[0].start, 2.0);
  const Transcript all = cursor.Finish("de");
  EXPECT_EQ(all.segments.size(), 3u);
  EXPECT_EQ(all.text, "bcd");
  EXPECT_EQ(all.language, "de");
}

template <typename T>
std::optional<T> OrNone(const nlohmann::json& value) {
  if (value.is_null()) return std::nullopt;
  return value.get<T>();
}

void CheckSegments(const Transcript& got, const nlohmann::json& line) {
  const nlohmann::json& want = line["segments"];
  ASSERT_EQ(got.segments.size(), want.size());
  for (size_t i = 0; i < want.size(); ++i) {
    const Segment& s = got.segments[i];
    EXPECT_EQ(s.id, want[i][0].get<int>());
    EXPECT_EQ(s.seek, want[i][1].get<int>());
    EXPECT_EQ(s.start, want[i][2].get<double>());  // to the last bit
    EXPECT_EQ(s.end, want[i][3].get<double>());
    EXPECT_EQ(s.text, want[i][4].get<std::string>());
    EXPECT_EQ(s.tokens, want[i][5].get<std::vector<int>>());
    EXPECT_EQ(s.temperature, want[i][6].get<double>());
  }
  EXPECT_EQ(got.text, line["text"].get<std::string>());
}

// The whole loop of transcribe.py over scripted attempts: each window's place,
// prompt and number of attempts, and all segments.
TEST(WindowCursor, FollowsOpenAisLoop) {
  size_t windows = 0;
  for (const nlohmann::json& line : testing::Golden("long_form")) {
    SCOPED_TRACE(line.dump().substr(0, 400));
    LongFormOptions options;
    options.condition_on_previous_text = line["condition_on_previous_text"];
    options.initial_prompt = line["initial_prompt"].get<std::vector<int>>();
    options.carry_initial_prompt = line["carry_initial_prompt"];
    options.clip_timestamps =
        ParseClipTimestamps(line["clip_timestamps"].get<std::string>());
    FallbackOptions fallback;
    fallback.compression_ratio_threshold =
        OrNone<double>(line["compression_ratio_threshold"]);
    fallback.logprob_threshold = OrNone<double>(line["logprob_threshold"]);
    fallback.no_speech_threshold = OrNone<double>(line["no_speech_threshold"]);
    WindowCursor cursor =
        Cursor(options, line["frames"], fallback, line["n_text_ctx"]);
    for (const nlohmann::json& want : line["windows"]) {
      const auto window = cursor.Next();
      ASSERT_TRUE(window);
      EXPECT_EQ(window->seek, want["seek"].get<int>());
      EXPECT_EQ(window->frames, want["frames"].get<int>());
      EXPECT_EQ(cursor.PreviousText(), want["prompt"].get<std::vector<int>>());
      Hypothesis best;
      for (const nlohmann::json& attempt : want["attempts"]) {
        best.tokens = attempt["tokens"].get<std::vector<int>>();
        best.temperature = attempt["temperature"];
        best.avg_logprob = attempt["avg_logprob"];
        best.no_speech_prob = attempt["no_speech_prob"];
        best.compression_ratio = attempt["compression_ratio"];
        const bool last = &attempt == &want["attempts"].back();
        const bool ladder_ends =
            best.temperature == line["temperatures"].back().get<double>();
        EXPECT_EQ(NeedsFallback(best, fallback) && !ladder_ends, !last);
      }
      cursor.Accept(best);
      ++windows;
    }
    EXPECT_EQ(cursor.Next(), std::nullopt);
    CheckSegments(cursor.Finish("en"), line);
  }
  EXPECT_GT(windows, 100u);
}

}  // namespace
}  // namespace sotto
