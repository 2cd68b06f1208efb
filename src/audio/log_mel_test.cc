// SPDX-License-Identifier: MIT
#include "audio/log_mel.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <iostream>
#include <limits>
#include <numbers>
#include <random>

#include "audio/fixtures_test.h"
#include "audio/mel_source.h"
#include "base/error.h"

namespace sotto {
namespace {

using testing::MakeSound;
using testing::MaxDifference;

std::vector<float> Frames(std::span<const float> pcm, int n_mels,
                          size_t piece = 1 << 20) {
  LogMelStream stream(n_mels);
  std::vector<float> out;
  while (!pcm.empty()) {
    const auto part = pcm.first(std::min(piece, pcm.size()));
    stream.Push(part, out);
    pcm = pcm.subspan(part.size());
  }
  stream.Finish(out);
  return out;
}

// One frame by the definition, in double: reflect at the left, zeros at the
// right, plain DFT.
std::vector<double> NaiveFrame(std::span<const float> pcm, int64_t frame,
                               int n_mels) {
  const auto sample = [&](int64_t i) {
    i = std::abs(i);
    return i < static_cast<int64_t>(pcm.size()) ? double{pcm[i]} : 0.0;
  };
  std::vector<double> power(kSpectrum);
  for (int k = 0; k < kSpectrum; ++k) {
    double re = 0;
    double im = 0;
    for (int n = 0; n < kFftSize; ++n) {
      const double turn = 2 * std::numbers::pi * n / kFftSize;
      const double x = sample(frame * kHop - kFftSize / 2 + n) *
                       (0.5 - 0.5 * std::cos(turn));
      re += x * std::cos(turn * k);
      im -= x * std::sin(turn * k);
    }
    power[k] = re * re + im * im;
  }
  const std::vector<float> filters = MelFilters(n_mels);
  std::vector<double> logs;
  for (int m = 0; m < n_mels; ++m) {
    double sum = 0;
    for (int k = 0; k < kSpectrum; ++k)
      sum += power[k] * filters[static_cast<size_t>(m) * kSpectrum + k];
    logs.push_back(std::log10(std::max(sum, 1e-10)));
  }
  return logs;
}

// librosa.filters.mel by its ramps, from the scale's other definition: 15 mels
// to 1 kHz, then 27 for each factor of 6.4.
std::vector<float> LibrosaFilters(int n_mels) {
  const double most = 15 + 27 * std::log(8.0) / std::log(6.4);
  std::vector<double> hz;
  for (int i = 0; i <= n_mels + 1; ++i) {
    const double mel = most * i / (n_mels + 1);
    hz.push_back(mel < 15 ? mel / 15 * 1000
                          : 1000 * std::pow(6.4, (mel - 15) / 27));
  }
  std::vector<float> filters;
  for (int m = 0; m < n_mels; ++m)
    for (int k = 0; k < kSpectrum; ++k) {
      const double f = 8000.0 * k / 200;
      const double lower = -(hz[m] - f) / (hz[m + 1] - hz[m]);
      const double upper = (hz[m + 2] - f) / (hz[m + 2] - hz[m + 1]);
      const double weight = std::max(0.0, std::min(lower, upper));
      filters.push_back(static_cast<float>(weight * 2 / (hz[m + 2] - hz[m])));
    }
  return filters;
}

TEST(MelFilters, EqualLibrosas) {
  for (const int n_mels : {80, 128})
    EXPECT_LT(MaxDifference(MelFilters(n_mels), LibrosaFilters(n_mels)), 1e-7);
  EXPECT_THROW(MelFilters(0), Error);
  EXPECT_THROW(MelFilters(kMaxMels + 1), Error);
}

// The table that whisper.cpp's files carry: OpenAI's own asset.
TEST(MelFilters, EqualThePublishedTable) {
  const auto file = testing::TestData("ggml/for-tests-ggml-base.bin");
  if (!file) GTEST_SKIP() << "SOTTO_TEST_DATA/ggml";
  const std::string bytes = testing::ReadBytes(*file);
  int32_t shape[2];  // after the magic and eleven hyper-parameters
  std::memcpy(shape, bytes.data() + 12 * 4, sizeof shape);
  ASSERT_EQ(shape[0], 80);
  ASSERT_EQ(shape[1], kSpectrum);
  std::vector<float> table(size_t{80} * kSpectrum);
  std::memcpy(table.data(), bytes.data() + 14 * 4, table.size() * 4);
  EXPECT_LT(MaxDifference(MelFilters(80), table), 1e-8);
}

// rlx.md defect 9 and row 10: the first and last frames too.
TEST(RlxDefect, D09EveryFrameEqualsTheDefinition) {
  for (const int n_mels : {80, 128})
    for (const size_t length : {1, 2, 40, 159, 160, 161, 199, 200, 201, 202,
                                359, 360, 361, 399, 400, 401, 2000, 4999}) {
      const std::vector<float> pcm = MakeSound(length, 16000, 3);
      const std::vector<float> got = Frames(pcm, n_mels);
      const size_t frames = (length + 200 + 159) / 160;
      ASSERT_EQ(got.size(), frames * n_mels) << length;
      // The FFT's rounding is relative to the loudest band of the frame: below
      // 1e-6 of its amplitude it may turn a band of 1e-10 into noise.
      for (size_t f = 0; f < frames; ++f) {
        const auto want = NaiveFrame(pcm, static_cast<int64_t>(f), n_mels);
        const double loudest = *std::ranges::max_element(want);
        for (int m = 0; m < n_mels; ++m) {
          const double noise = std::pow(10, (loudest - want[m]) / 2) * 1e-6;
          ASSERT_NEAR(got[f * n_mels + m], want[m], 1e-5 + noise)
              << "length " << length << " frame " << f << " band " << m;
        }
      }
    }
}

TEST(LogMelStream, NoSamplesNoFrames) { EXPECT_TRUE(Frames({}, 80).empty()); }

TEST(LogMelStream, SilenceIsExactlyTheFloor) {
  const std::vector<float> zeros(5000);
  for (const float x : Frames(zeros, 80)) ASSERT_EQ(x, kSilenceLog);
}

TEST(LogMelStream, PiecesDoNotChangeABit) {
  const std::vector<float> pcm = MakeSound(40001, 16000, 5);
  const std::vector<float> whole = Frames(pcm, 80);
  for (const size_t piece : {1, 7, 160, 161, 1000, 16000})
    EXPECT_EQ(Frames(pcm, 80, piece), whole) << piece;
}

TEST(LogMelStream, NanIsZero) {
  std::vector<float> pcm = MakeSound(3000, 16000);
  std::vector<float> clean = pcm;
  for (const size_t i : {0u, 1000u, 2999u}) {
    pcm[i] = std::numeric_limits<float>::quiet_NaN();
    clean[i] = 0;
  }
  EXPECT_EQ(Frames(pcm, 80), Frames(clean, 80));
  LogMelStream stream(80);
  std::vector<float> out;
  stream.Push(clean, out);
  EXPECT_FALSE(stream.saw_nan());
  stream.Push(pcm, out);
  EXPECT_TRUE(stream.saw_nan());
}

// executorch.md, row 24: the windows that the encoder gets against the
// definition in double, for lengths around a window; sampled frames, since the
// plain DFT takes its time. OpenAI's own tensors: mel_source_test.cc.
TEST(LogMel, Row24EveryLengthEqualsTheDefinition) {
  double worst = 0;
  const auto check = [&](const std::vector<float>& pcm, int n_mels) {
    const MelSource source(pcm, n_mels);
    const auto frames = static_cast<int64_t>(pcm.size() / kHop);
    std::vector<float> window(static_cast<size_t>(n_mels) * kWindowFrames);
    double loudest = -10;
    std::vector<std::pair<int64_t, std::vector<double>>> sampled;
    const int64_t step = std::max<int64_t>(1, frames / 24);
    for (int64_t frame = 0; frame < frames; frame += step) {
      sampled.emplace_back(frame, NaiveFrame(pcm, frame, n_mels));
      loudest = std::max(loudest,
                         *std::ranges::max_element(sampled.back().second));
    }
    // The sound's loudest frame need not be among the sampled ones.
    ASSERT_LE(loudest, source.maximum() + 1e-5);
    for (const auto& [frame, want] : sampled) {
      source.PaddedWindow(frame, window);
      for (int m = 0; m < n_mels; ++m) {
        const double clamped =
            (std::max(want[m], double{source.maximum()} - 8) + 4) / 4;
        const double got = window[static_cast<size_t>(m) * kWindowFrames];
        worst = std::max(worst, std::abs(got - clamped));
        ASSERT_NEAR(got, clamped, 1e-4)
            << pcm.size() << " samples, frame " << frame << ", band " << m;
      }
    }
  };
  for (const int n_mels : {80, 128}) {
    check(std::vector<float>(48000), n_mels);
    for (const size_t samples :
         {size_t{1}, size_t{479'840}, size_t{480'000}, size_t{496'000},
          size_t{9'600'000}})
      check(MakeSound(samples, 16000, 5), n_mels);
  }
  std::cout << "row 24: largest difference " << worst
            << " (want 1e-4, target 1e-5)\n";
}

}  // namespace
}  // namespace sotto
