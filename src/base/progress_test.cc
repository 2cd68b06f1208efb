// SPDX-License-Identifier: MIT
#include "base/progress.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace sotto {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class ProgressTest : public ::testing::Test {
 protected:
  ProgressOptions Options(bool terminal) {
    return {.label = "tiny",
            .total = 1e6,
            .terminal = terminal,
            .write = [this](std::string_view text) { out_ += text; },
            .now = [this] { return clock_; }};
  }
  std::string out_;
  double clock_ = 100;
};

TEST_F(ProgressTest, FileGetsALineAtEveryTenth) {
  ProgressBar bar(Options(false));
  for (int i = 0; i <= 1000; ++i) {
    bar.Update(1000.0 * i);
    clock_ += 0.01;
  }
  bar.Finish();
  bar.Finish();
  bar.Update(5);
  EXPECT_EQ(std::count(out_.begin(), out_.end(), '\n'), 10);
  EXPECT_THAT(out_, StartsWith("tiny  10%  100.0 kB / 1.0 MB, 100.0 kB/s, "
                               "0:09 left\n"));
  EXPECT_THAT(out_, HasSubstr("tiny 100%  1.0 MB / 1.0 MB, 100.0 kB/s\n"));
  EXPECT_THAT(out_, Not(HasSubstr("\r")));
}

TEST_F(ProgressTest, TerminalKeepsOneLine) {
  ProgressBar bar(Options(true));
  size_t draws = 0;
  for (int i = 0; i <= 1000; ++i) {
    bar.Update(1000.0 * i);
    clock_ += 0.01;
  }
  draws = static_cast<size_t>(std::count(out_.begin(), out_.end(), '\r'));
  EXPECT_GT(draws, 50u);   // ten a second for ten seconds
  EXPECT_LT(draws, 120u);  // not one per update
  EXPECT_EQ(std::count(out_.begin(), out_.end(), '\n'), 0);
  bar.Finish();
  EXPECT_THAT(out_, EndsWith("\n"));
  EXPECT_THAT(out_, HasSubstr("100% [======"));
  // No drawing is as wide as the terminal.
  size_t start = 0;
  for (size_t at = 0; at < out_.size(); ++at)
    if (out_[at] == '\r') {
      EXPECT_LT(at - start, 80u);
      start = at + 1;
    }
}

TEST_F(ProgressTest, ClearLeavesAnEmptyLine) {
  ProgressBar bar(Options(true));
  bar.Clear();
  EXPECT_EQ(out_, "");
  bar.Update(10);
  const size_t width = out_.size() - 1;
  out_.clear();
  bar.Clear();
  EXPECT_EQ(out_, fmt::format("\r{:{}}\r", "", width));
  out_.clear();
  bar.Update(20);  // draws at once, whatever the clock says
  EXPECT_THAT(out_, HasSubstr("20 bytes"));
}

TEST_F(ProgressTest, RateLeavesOutWhatWasThere) {
  ProgressBar bar(Options(false));
  bar.Update(500'000);  // resumed: half was on disk
  clock_ += 10;
  bar.Update(600'000);
  EXPECT_THAT(out_, HasSubstr("10.0 kB/s, 0:40 left"));
}

TEST_F(ProgressTest, SpeaksOfAudio) {
  ProgressOptions options = Options(false);
  options.unit = ProgressUnit::kSeconds;
  options.total = 3600;
  ProgressBar bar(options);
  bar.Update(0);
  clock_ += 10;
  bar.Update(360);
  EXPECT_EQ(out_, "tiny  10%  6:00 / 1:00:00, 36.0 x realtime, 1:30 left\n");
}

TEST_F(ProgressTest, CountsThings) {
  ProgressOptions options = Options(false);
  options.unit = ProgressUnit::kCount;
  options.things = "windows";
  options.total = 8;
  ProgressBar bar(options);
  bar.Update(0);
  clock_ += 10;
  bar.Update(1);
  clock_ += 8;
  bar.Update(4.5);
  EXPECT_EQ(out_,
            "tiny  12%  1 / 8 windows, 1:10 left\n"
            "tiny  56%  4.5 / 8 windows, 0:14 left\n");
}

TEST_F(ProgressTest, UnknownWholeAndOddValuesDoNoHarm) {
  ProgressOptions options = Options(true);
  options.total = 0;
  options.columns = -5;
  ProgressBar bar(options);
  for (const double done : {0.0, -1.0, 1e300, 1e-300}) {
    clock_ += 1;
    bar.Update(done);
  }
  bar.SetTotal(10);
  clock_ += 1;
  bar.Update(1e9);
  bar.Finish();
  EXPECT_THAT(out_, HasSubstr("100%"));
}

TEST(Format, BytesAndDurations) {
  EXPECT_EQ(FormatBytes(0), "0 bytes");
  EXPECT_EQ(FormatBytes(999), "999 bytes");
  EXPECT_EQ(FormatBytes(1000), "1.0 kB");
  EXPECT_EQ(FormatBytes(999'999), "1.0 MB");
  EXPECT_EQ(FormatBytes(1.5e9), "1.5 GB");
  EXPECT_EQ(FormatDuration(7.9), "0:07");
  EXPECT_EQ(FormatDuration(754), "12:34");
  EXPECT_EQ(FormatDuration(3723), "1:02:03");
  EXPECT_EQ(FormatDuration(1e300), "99:59:59");
}

}  // namespace
}  // namespace sotto
