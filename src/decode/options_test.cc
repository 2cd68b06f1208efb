// SPDX-License-Identifier: MIT
#include "decode/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "decode/text_of.h"

namespace sotto {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// What `action` throws, or "".
template <typename Action>
std::string Message(Action action) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kBadInput);
    return error.what();
  }
  return "";
}

TEST(ParseSuppressTokens, Lists) {
  EXPECT_THAT(ParseSuppressTokens("-1"), ElementsAre(-1));
  EXPECT_THAT(ParseSuppressTokens("1, 2,50363"), ElementsAre(1, 2, 50363));
  EXPECT_THAT(ParseSuppressTokens(""), IsEmpty());
}

TEST(ParseSuppressTokens, NamesThePartThatIsNoToken) {
  for (const char* bad : {"x", "-2", "1.5", "", "99999999999", "3 4"}) {
    const std::string text = std::string("7,") + bad;
    EXPECT_THAT(Message([&] { ParseSuppressTokens(text); }),
                HasSubstr("suppress_tokens: '" + std::string(bad) + "' in '"))
        << text;
  }
}

TEST(ParseClipTimestamps, Lists) {
  EXPECT_THAT(ParseClipTimestamps("0"), ElementsAre(0.0));
  EXPECT_THAT(ParseClipTimestamps("1.5,3, 4"), ElementsAre(1.5, 3.0, 4.0));
  EXPECT_THAT(ParseClipTimestamps(""), IsEmpty());
}

TEST(ParseClipTimestamps, NamesThePartThatIsNoTime) {
  for (const char* bad : {"x", "-2", "nan", "inf", "1e9", "", "1:30"}) {
    const std::string text = std::string(bad) + ",7";
    EXPECT_THAT(Message([&] { ParseClipTimestamps(text); }),
                HasSubstr("clip_timestamps: '" + std::string(bad) + "' in '"))
        << text;
  }
  EXPECT_EQ(Message([] { ParseClipTimestamps("0,5,9,8"); }),
            "clip_timestamps: clip 2 of '0,5,9,8' ends at 8 s before its start "
            "at 9 s");
}

TEST(TemperatureLadder, HasNumpysDigits) {
  // tuple(np.arange(0, 1.0 + 1e-6, 0.2)) of numpy 2.4.
  EXPECT_THAT(TemperatureLadder(0, 0.2),
              ElementsAre(0.0, 0.2, 0.4, 0.6000000000000001, 0.8, 1.0));
  // np.arange(0.1, 1.0 + 1e-6, 0.3) and np.arange(0.5, 1.0 + 1e-6, 0.25).
  EXPECT_THAT(TemperatureLadder(0.1, 0.3),
              ElementsAre(0.1, 0.4, 0.7000000000000001, 1.0000000000000002));
  EXPECT_THAT(TemperatureLadder(0.5, 0.25), ElementsAre(0.5, 0.75, 1.0));
}

TEST(TemperatureLadder, HasAtLeastTheFirst) {
  EXPECT_THAT(TemperatureLadder(0.3, std::nullopt), ElementsAre(0.3));
  EXPECT_THAT(TemperatureLadder(1.5, 0.2), ElementsAre(1.5));
}

TEST(TemperatureLadder, RefusesWhatNeverEnds) {
  EXPECT_NE(Message([] { TemperatureLadder(-0.1, 0.2); }), "");
  EXPECT_NE(Message([] { TemperatureLadder(0, 0.0); }), "");
  EXPECT_NE(Message([] { TemperatureLadder(0, -0.2); }), "");
  EXPECT_NE(Message([] { TemperatureLadder(0, 1e-300); }), "");
  EXPECT_NE(Message([] { TemperatureLadder(0.0 / 0.0, 0.2); }), "");
}

TEST(StripSpace, AsPythonsStrip) {
  EXPECT_EQ(StripSpace(" \t\n\x1f a b \r"), "a b");
  EXPECT_EQ(StripSpace("\u00a0\u3000\u2003x\u2028\u0085"), "x");
  EXPECT_EQ(StripSpace("\u200bx\u200b"),
            "\u200bx\u200b");  // no space in Python
  EXPECT_EQ(StripSpace(" \u3000 "), "");
  EXPECT_EQ(StripSpace(""), "");
  EXPECT_EQ(StripSpace("\u4e00"), "\u4e00");
  EXPECT_EQ(StripSpace("\x80\xa0"), "\x80\xa0");  // broken UTF-8 is no space
}

}  // namespace
}  // namespace sotto
