// SPDX-License-Identifier: MIT
// The NPU's encoder against the model's own arithmetic in doubles, on random
// weights and odd shapes; the scales' file; what is refused.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <thread>

#include "acceptance_row.h"
#include "base/error.h"
#include "npu/encoder/array_runner.h"
#include "npu/encoder/calibration.h"
#include "npu/encoder/encoder_reference.h"
#include "npu/encoder/host_run.h"
#include "npu/encoder/pack.h"

namespace sotto::npu {
namespace {

using testing::HasSubstr;

std::vector<float> RandomMel(const EncoderShape& s, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0.0F, 0.6F);
  std::vector<float> mel(static_cast<size_t>(s.n_mels) * s.frames);
  for (float& v : mel) v = normal(random);
  return mel;
}

std::vector<float> RunEncoder(const PackedEncoder& packed,
                              const std::vector<float>& mel, int threads) {
  ThreadPool pool(threads);
  sotto::Buffer work(HostRunBytes(packed));
  std::fill(work.bytes().begin(), work.bytes().end(), std::byte{0xFF});
  std::vector<float> audio(static_cast<size_t>(packed.shape.positions()) *
                           packed.shape.width);
  RunOnHost(packed, mel.data(), audio.data(), work.data(), pool);
  return audio;
}

// E1: shapes whose rows do not fill tiles, one that fills them, 128 bands.
TEST(NpuEncoder, E1AgainstDoubles) {
  for (const EncoderShape& shape : {EncoderShape{.n_mels = 80,
                                   .frames = 140,
                                   .width = 128,
                                   .heads = 2,
                                   .ffn = 192,
                                   .layers = 2},
                                    EncoderShape{.n_mels = 128,
                                    .frames = 128,
                                    .width = 64,
                                    .heads = 1,
                                    .ffn = 256,
                                    .layers = 1},
                                    EncoderShape{.n_mels = 80,
                                    .frames = 2,
                                    .width = 64,
                                    .heads = 1,
                                    .ffn = 64,
                                    .layers = 1}}) {
    const RandomWeights weights(shape, 11);
    Reference reference(shape, weights);
    const auto mel = RandomMel(shape, 12);
    const Rows want = reference.Run(mel);
    const auto bf16 = RunEncoder(
        Pack(shape, EncoderPrecision::kBF16, weights, nullptr), mel, 2);
    EXPECT_GT(Cosine(want, bf16), 0.9998) << shape.frames;
    const Calibration seen = reference.seen();
    const auto int8 = RunEncoder(
        Pack(shape, EncoderPrecision::kInt8, weights, &seen), mel, 2);
    EXPECT_GT(Cosine(want, int8), 0.998) << shape.frames;
  }
}

// Bits do not depend on threads, on what was run before, or on memory found.
TEST(NpuEncoder, SameBitsAlways) {
  const EncoderShape shape{.n_mels = 80,
                           .frames = 140,
                           .width = 128,
                           .heads = 2,
                           .ffn = 128,
                           .layers = 1};
  const RandomWeights weights(shape, 21);
  Reference reference(shape, weights);
  const auto a = RandomMel(shape, 22), b = RandomMel(shape, 23);
  reference.Run(a);
  const Calibration seen = reference.seen();
  for (const auto precision :
       {EncoderPrecision::kBF16, EncoderPrecision::kInt8}) {
    const PackedEncoder packed = Pack(shape, precision, weights, &seen);
    const auto first = RunEncoder(packed, a, 1);
    const auto other = RunEncoder(packed, b, 2);
    EXPECT_NE(first, other);
    EXPECT_EQ(RunEncoder(packed, a, 2), first);
  }
}

// E4 with threads and int8 (a program's batches: tests/npu/batch_rows_test.cc):
// as many windows at once through one runner, the bits of each alone.
TEST(NpuEncoder, E4ThreadsThroughOneRunnerGetTheBitsOfSingleWindows) {
  const EncoderShape shape{.n_mels = 80,
                           .frames = 140,
                           .width = 128,
                           .heads = 2,
                           .ffn = 128,
                           .layers = 1};
  const RandomWeights weights(shape, 31);
  Reference reference(shape, weights);
  std::vector<std::vector<float>> mels;
  for (unsigned i = 0; i < 8; ++i) mels.push_back(RandomMel(shape, 32 + i));
  for (const auto& mel : mels) reference.Run(mel);
  const Calibration seen = reference.seen();
  SimOptions array;
  array.threads = 1;
  const std::unique_ptr<EncoderRunner> runners[] = {
      MakeHostRunner(), MakeArrayRunner(array, [](const SimReport&) {})};
  for (const auto precision :
       {EncoderPrecision::kBF16, EncoderPrecision::kInt8}) {
    const PackedEncoder packed = Pack(shape, precision, weights, &seen);
    std::vector<std::vector<float>> single;
    for (const auto& mel : mels) single.push_back(RunEncoder(packed, mel, 1));
    for (const auto& runner : runners) {
      std::vector<std::vector<float>> together(mels.size());
      const auto run = [&](size_t window) {
        ThreadPool pool(1);
        sotto::Buffer work(std::max<size_t>(runner->WorkBytes(packed), 1));
        together[window].resize(single[window].size());
        runner->Run(packed, mels[window].data(), together[window].data(),
                    work.data(), pool);
      };
      std::vector<std::thread> threads;
      for (size_t i = 0; i < mels.size(); ++i) threads.emplace_back(run, i);
      for (std::thread& thread : threads) thread.join();
      for (size_t i = 0; i < mels.size(); ++i)
        EXPECT_EQ(together[i], single[i]) << runner->name() << " " << i;
    }
  }
  ReportRow(
      "E4",
      "8 threads through one runner, bf16 and int8, host and array: equal "
      "single windows in every bit",
      RowTag::kMeasured);
}

TEST(NpuEncoder, WhatDoesNotFitIsRefused) {
  const auto refused = [](EncoderShape shape, const char* why) {
    try {
      shape.Check();
      ADD_FAILURE() << why;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kUnsupported);
      EXPECT_THAT(error.what(), HasSubstr(why));
    }
  };
  refused({.width = 512, .heads = 6}, "6 heads in a width of 512");
  refused({.width = 128, .heads = 2, .ffn = 100}, "100");
  refused({.frames = 3001}, "3001 frames");
  const EncoderShape shape{.n_mels = 80,
                           .frames = 20,
                           .width = 64,
                           .heads = 1,
                           .ffn = 64,
                           .layers = 1};
  const RandomWeights weights(shape, 1);
  EXPECT_THROW(Pack(shape, EncoderPrecision::kInt8, weights, nullptr), Error);
}

TEST(NpuCalibration, ReadsWhatItWrites) {
  Calibration made;
  made.windows = 7;
  made.See("stem.h", std::vector<float>{1.5F, -2.25F, 0.5F, 1.0F}, 2);
  made.See("0.ln1", std::vector<float>{-0.125F, 3.0F, 7.0F}, 3);
  const Calibration read = Calibration::Parse(made.ToText(), "x");
  EXPECT_EQ(read.ranges, made.ranges);
  EXPECT_EQ(read.windows, 7);
  EXPECT_THAT(read.Of("stem.h"),
              testing::ElementsAre(Range{0.5F, 1.5F}, Range{-2.25F, 1.0F}));
}

TEST(NpuCalibration, TurnedHeadsKeepScoresAndComeBack) {
  std::mt19937 random(4);
  std::normal_distribution<float> normal;
  std::vector<float> q(3 * kTile), k(3 * kTile);
  for (size_t i = 0; i < q.size(); ++i)
    q[i] = normal(random), k[i] = normal(random);
  k[70] = 50;  // a channel that is far larger
  auto turned_q = q, turned_k = k;
  RotateHeads(turned_q);
  RotateHeads(turned_k);
  float largest = 0;
  for (size_t head = 0; head < q.size(); head += kTile) {
    double plain = 0, turned = 0;
    for (size_t i = head; i < head + kTile; ++i) {
      plain += double{q[i]} * k[i];
      turned += double{turned_q[i]} * turned_k[i];
      largest = std::max(largest, std::abs(turned_k[i]));
    }
    EXPECT_NEAR(plain, turned, 1e-4);
  }
  EXPECT_LT(largest, 12);
  RotateHeads(turned_q);
  for (size_t i = 0; i < q.size(); ++i) EXPECT_NEAR(turned_q[i], q[i], 1e-5);
}

TEST(NpuCalibration, BadFilesAreRefusedWithTheirLine) {
  const auto refused = [](std::string_view text, const char* why) {
    try {
      Calibration::Parse(text, "scales");
      ADD_FAILURE() << text;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kBadInput);
      EXPECT_THAT(error.what(), HasSubstr(why));
    }
  };
  const std::string head = "sotto npu scales 4\n";
  refused("sotto npu scales 3\n0.q 1 2.5 3\n", "calibrate` again");
  refused("", "empty");
  refused("hello\n", "scales:1");
  refused(head + "0.q 2 0.0 1.0\n", "scales:2: 0.q says 2");
  refused(head + "0.q 1 0.5\n", "scales:2: '' is no number");
  refused(head + "windows 3\n0.q 1 nan 1\n", "scales:3");
  refused(head + "0.q x 1\n", "'x' is no number");
  refused(head + "0.q 1 4 -4\n", "no range");
  const EncoderShape shape{.layers = 1};
  EXPECT_THROW(Calibration::Parse(head, "s").Check(shape), Error);
}

// Steps even ranges out: no value seen is beyond the codes, and some channel
// uses them all but for the room of 12 bits; after GELU zero is a code.
TEST(NpuCalibration, CodesHoldEveryChannel) {
  std::mt19937 random(9);
  std::lognormal_distribution<float> any(0, 2);
  for (const CodesOf of :
       {CodesOf::kNorm, CodesOf::kAttention, CodesOf::kGelu}) {
    const bool gelu = of == CodesOf::kGelu;
    std::vector<Range> a(300);
    std::vector<float> w(300);
    for (size_t i = 0; i < a.size(); ++i)
      a[i] = {gelu ? -0.17F : -any(random), any(random)}, w[i] = any(random);
    a[7] = {0, 0};
    const Codes codes = InputCodes(a, w, of);
    const auto most = static_cast<float>(codes.most);
    EXPECT_EQ(codes.most, of == CodesOf::kNorm ? 127 : 2047);
    float widest = 0;
    for (size_t i = 0; i < a.size(); ++i) {
      const float least = a[i].least / codes.steps[i] + codes.zeros[i];
      const float largest = a[i].largest / codes.steps[i] + codes.zeros[i];
      EXPECT_GE(least, -most - (gelu ? 1.5F : 0.01F * most));
      EXPECT_LE(largest, most + (gelu ? 0.5F : 0.01F));
      widest = std::max(widest, largest - least);
      if (gelu) {
        EXPECT_EQ(codes.zeros[i], std::nearbyint(codes.zeros[i]));
      }
    }
    // Twice what was seen has codes where there are 12 bits.
    EXPECT_NEAR(widest / most, of == CodesOf::kNorm ? 2 : 1, 0.1);
  }
}

}  // namespace
}  // namespace sotto::npu
