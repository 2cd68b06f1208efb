// SPDX-License-Identifier: MIT
#include "base/did_you_mean.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <random>
#include <string>

namespace sotto {
namespace {

constexpr auto kOptions = std::to_array<std::string_view>(
    {"--model", "--language", "--beam_size", "--best_of", "--output_format",
     "--output_dir", "--word_timestamps", "-f"});

TEST(DidYouMean, FindsSlipsOfThePen) {
  EXPECT_EQ(Closest("--modle", kOptions), "--model");
  EXPECT_EQ(Closest("--LANGUAGE", kOptions), "--language");
  EXPECT_EQ(Closest("--beam-size", kOptions), "--beam_size");
  EXPECT_EQ(Closest("--output_fromat", kOptions), "--output_format");
}

TEST(DidYouMean, TakesTheOnlyContinuation) {
  EXPECT_EQ(Closest("--word", kOptions), "--word_timestamps");
  EXPECT_EQ(Closest("--out", kOptions), "");  // two of them
}

TEST(DidYouMean, SaysNothingOfStrangers) {
  EXPECT_EQ(Closest("--frobnicate", kOptions), "");
  EXPECT_EQ(Closest("", kOptions), "");
  EXPECT_EQ(Closest("x", kOptions), "");
  EXPECT_EQ(Closest(std::string(100000, '-'), kOptions), "");
  EXPECT_EQ(DidYouMean("--frobnicate", kOptions), "");
  EXPECT_EQ(DidYouMean("--modle", kOptions), ", did you mean '--model'?");
}

// The textbook recursion, which needs no table.
size_t SlowDistance(std::string_view a, std::string_view b) {
  if (a.empty()) return b.size();
  if (b.empty()) return a.size();
  const size_t cost = a.back() == b.back() ? 0 : 1;
  const std::string_view a1 = a.substr(0, a.size() - 1);
  const std::string_view b1 = b.substr(0, b.size() - 1);
  size_t best = std::min({SlowDistance(a1, b) + 1, SlowDistance(a, b1) + 1,
                          SlowDistance(a1, b1) + cost});
  if (a.size() > 1 && b.size() > 1 && a.back() == b[b.size() - 2] &&
      b.back() == a[a.size() - 2])
    best = std::min(
        best,
        SlowDistance(a.substr(0, a.size() - 2), b.substr(0, b.size() - 2)) + 1);
  return best;
}

TEST(DidYouMean, CountsEditsAsTheRecursionDoes) {
  std::mt19937 random(7);
  for (int round = 0; round < 300; ++round) {
    std::string a;
    std::string b;
    while (random() % 7 != 0 && a.size() < 6) a += "abc"[random() % 3];
    while (random() % 7 != 0 && b.size() < 6) b += "abc"[random() % 3];
    EXPECT_EQ(EditDistance(a, b), SlowDistance(a, b)) << a << " " << b;
    EXPECT_EQ(EditDistance(a, b), EditDistance(b, a)) << a << " " << b;
  }
}

}  // namespace
}  // namespace sotto
