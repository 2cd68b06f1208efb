// SPDX-License-Identifier: MIT
#include "npu/encoder/rounding.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "base/error.h"

namespace sotto::npu {
namespace {

using testing::Each;
using testing::HasSubstr;

// Inputs [rows][columns] that mix `sources` random ones, with their moments.
struct Inputs {
  Inputs(int rows, int columns, int sources, unsigned seed)
      : values(static_cast<size_t>(rows) * columns),
        width(static_cast<size_t>(columns)) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    std::vector<float> mix(static_cast<size_t>(sources) * columns);
    for (float& x : mix) x = normal(random);
    for (int r = 0; r < rows; ++r) {
      std::vector<float> source(static_cast<size_t>(sources));
      for (float& x : source) x = normal(random);
      for (int c = 0; c < columns; ++c) {
        float& out = values[static_cast<size_t>(r) * columns + c];
        out = 0.3F + 0.05F * normal(random);
        for (int s = 0; s < sources; ++s)
          out += source[s] * mix[static_cast<size_t>(s) * columns + c];
      }
    }
  }
  Moments Seen(ThreadPool& pool) const {
    Moments moments;
    // In two parts: sums go on.
    const size_t half = values.size() / width / 2 * width;
    moments.See("x", std::span(values).first(half), width, pool);
    moments.See("x", std::span(values).subspan(half), width, pool);
    return moments;
  }

  std::vector<float> values;
  size_t width;
};

Unrounded RandomMatrix(int rows, int columns, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, 40);
  std::uniform_real_distribution<float> step(0.01F, 0.3F);
  Unrounded made{"m", "x", rows, columns, {}, {}};
  for (int64_t i = 0; i < int64_t{rows} * columns; ++i)
    made.codes.push_back(std::clamp(normal(random), -127.0F, 127.0F));
  for (int i = 0; i < columns; ++i) made.steps.push_back(step(random));
  return made;
}

// What rounding does to a row's results, squared and summed, in doubles.
double ErrorOf(const Unrounded& m, int row, std::span<const int> codes,
               const Inputs& x) {
  double sum = 0;
  for (size_t at = 0; at < x.values.size(); at += x.width) {
    double error = 0;
    for (size_t c = 0; c < x.width; ++c)
      error +=
          (double{m.codes[static_cast<size_t>(row) * x.width + c]} - codes[c]) *
          x.values[at + c] / m.steps[c];
    sum += error * error;
  }
  return sum;
}

std::vector<int> CodesOfRow(const Unrounded& m, const Rounding& rounding,
                            int row) {
  std::vector<int> codes;
  for (int c = 0; c < m.columns; ++c) {
    const size_t at = static_cast<size_t>(row) * m.columns + c;
    codes.push_back(m.Nearest(at) + rounding.offsets[at]);
  }
  return codes;
}

TEST(NpuRounding, HasASmallPartOfTheErrorOfTheNearest) {
  for (const auto& [rows, columns] : {std::pair{70, 300}, {1, 64}, {64, 129}}) {
    ThreadPool pool(2);
    const Inputs x(600, columns, columns / 8, 3);
    const Unrounded m = RandomMatrix(rows, columns, 4);
    const Rounding made = RoundTogether(m, x.Seen(pool).Of("x"), pool);
    double together = 0, nearest = 0;
    for (int row = 0; row < rows; ++row) {
      const auto codes = CodesOfRow(m, made, row);
      for (const int code : codes) EXPECT_LE(std::abs(code), 127);
      together += ErrorOf(m, row, codes, x);
      nearest += ErrorOf(
          m, row,
          CodesOfRow(m, {0, 0, {}, std::vector<int8_t>(m.codes.size())}, row),
          x);
    }
    EXPECT_LT(together, 0.3 * nearest) << rows << " x " << columns;
    EXPECT_GT(together, 0);
  }
}

// Every choice of rounding up or down of a short row.
TEST(NpuRounding, IsNearTheBestOfAllChoices) {
  constexpr int kWidth = 10;
  ThreadPool pool(1);
  double found = 0, best = 0, nearest = 0;
  for (unsigned seed = 0; seed < 8; ++seed) {
    const Inputs x(200, kWidth, 3, seed);
    const Unrounded m = RandomMatrix(1, kWidth, seed + 50);
    const Rounding made = RoundTogether(m, x.Seen(pool).Of("x"), pool);
    found += ErrorOf(m, 0, CodesOfRow(m, made, 0), x);
    double least = std::numeric_limits<double>::infinity();
    for (int choice = 0; choice < 1 << kWidth; ++choice) {
      std::vector<int> codes;
      for (int c = 0; c < kWidth; ++c)
        codes.push_back(static_cast<int>(std::floor(m.codes[c])) +
                        (choice >> c & 1));
      least = std::min(least, ErrorOf(m, 0, codes, x));
    }
    best += least;
    std::vector<int> codes;
    for (int c = 0; c < kWidth; ++c) codes.push_back(m.Nearest(c));
    nearest += ErrorOf(m, 0, codes, x);
  }
  EXPECT_LT(found - best, 0.5 * (nearest - best));
}

// Inputs that have nothing to do with each other cannot help each other.
TEST(NpuRounding, InputsByThemselvesAreRoundedToTheNearest) {
  constexpr size_t kWidth = 150;
  ThreadPool pool(2);
  std::vector<float> x(kWidth * kWidth);
  for (size_t i = 0; i < kWidth; ++i)
    x[i * kWidth + i] = 0.5F + static_cast<float>(i % 7);
  Moments moments;
  moments.See("x", x, kWidth, pool);
  const Unrounded m = RandomMatrix(5, kWidth, 8);
  EXPECT_THAT(RoundTogether(m, moments.Of("x"), pool).offsets, Each(0));
}

TEST(NpuRounding, ThreadsChangeNothing) {
  ThreadPool one(1), two(2);
  const Inputs x(100, 200, 20, 5);
  const Unrounded m = RandomMatrix(130, 200, 6);
  EXPECT_EQ(RoundTogether(m, x.Seen(one).Of("x"), one),
            RoundTogether(m, x.Seen(two).Of("x"), two));
}

TEST(NpuRounding, InputsThatWereAlwaysZeroDoNoHarm) {
  ThreadPool pool(1);
  Moments moments;
  moments.See("x", std::vector<float>(64 * 3), 64, pool);
  const Unrounded m = RandomMatrix(3, 64, 2);
  EXPECT_THAT(RoundTogether(m, moments.Of("x"), pool).offsets, Each(0));
}

TEST(NpuRounding, TextGivesTheOffsetsBack) {
  std::mt19937 random(1);
  for (const auto& [rows, columns] : {std::pair{1, 1}, {3, 64}, {20, 513}}) {
    Rounding made{rows, columns, {}, {}};
    for (int i = 0; i < rows * columns; ++i)
      made.offsets.push_back(
          static_cast<int8_t>(static_cast<int>(random() % 255) - 127));
    Rounding read{rows, columns, {}, {}};
    read.ReadOffsets(made.OffsetsText(), "x");
    EXPECT_EQ(read, made);
  }
}

TEST(NpuRounding, BadTextIsRefused) {
  const auto refused = [](int rows, int columns, std::string_view text,
                          const char* why) {
    Rounding read{rows, columns, {}, {}};
    try {
      read.ReadOffsets(text, "file:3: m");
      ADD_FAILURE() << text;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kBadInput);
      EXPECT_THAT(error.what(), HasSubstr("file:3: m: "));
      EXPECT_THAT(error.what(), HasSubstr(why));
    }
  };
  const Rounding made{2, 3, {}, std::vector<int8_t>(6)};
  const std::string text = made.OffsetsText();
  refused(0, 3, text, "a matrix of 0 x 3");
  refused(1 << 20, 1 << 20, text, "a matrix of");
  refused(16000, 16000, text, "offsets");  // more than zlib can hold
  refused(2, 4, text, "want 2 x 4 offsets");
  refused(2, 2, text, "want 2 x 2 offsets");
  refused(2, 3, "", "offsets");
  refused(2, 3, text.substr(1), "offsets");
  refused(2, 3, "!!!!" + text.substr(4), "base64");
  refused(2, 3, "AAAA" + text.substr(4), "want 2 x 3");
}

TEST(NpuRounding, SignaturesTellOtherWeights) {
  std::mt19937 random(3);
  std::vector<int8_t> codes(4096);
  for (int8_t& code : codes)
    code = static_cast<int8_t>(static_cast<int>(random() % 255) - 127);
  auto near = codes;
  for (size_t i = 0; i < near.size(); i += 500) near[i] ^= 1;
  EXPECT_TRUE(SameCodes(SignatureOf(codes), SignatureOf(near)));
  auto other = codes;
  std::shuffle(other.begin(), other.end(), random);
  EXPECT_FALSE(SameCodes(SignatureOf(codes), SignatureOf(other)));
}

}  // namespace
}  // namespace sotto::npu
