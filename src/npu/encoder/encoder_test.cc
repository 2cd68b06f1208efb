// SPDX-License-Identifier: MIT
// The NPU's encoder against the model's own arithmetic in doubles, on random
// weights and odd shapes; the scales' file; what is refused.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <random>
#include <thread>

#include "acceptance_row.h"
#include "base/error.h"
#include "npu/encoder/array_runner.h"
#include "npu/encoder/calibration.h"
#include "npu/encoder/host_run.h"
#include "npu/encoder/pack.h"

namespace sotto::npu {
namespace {

using testing::HasSubstr;

// Random weights of an encoder by canonical name.
class RandomWeights : public WeightReader {
 public:
  RandomWeights(const EncoderShape& s, unsigned seed) : random_(seed) {
    const int d = s.width;
    Add("enc.conv1.w", int64_t{d} * s.n_mels * 3, 0.7 / std::sqrt(s.n_mels));
    Add("enc.conv1.b", d, 0.2);
    Add("enc.conv2.w", int64_t{d} * d * 3, 0.9 / std::sqrt(d));
    Add("enc.conv2.b", d, 0.2);
    Add("enc.pos", int64_t{s.positions()} * d, 0.3);
    for (int i = 0; i < s.layers; ++i) {
      const std::string n = "enc." + std::to_string(i);
      for (const char* ln : {".attn_ln", ".mlp_ln"}) {
        Add(n + ln + ".w", d, 0.3, 1.0);
        Add(n + ln + ".b", d, 0.2);
      }
      for (const char* m : {".attn.q", ".attn.k", ".attn.v", ".attn.o"}) {
        Add(n + m + ".w", int64_t{d} * d, 1.3 / std::sqrt(d));
        Add(n + m + ".b", d, 0.1);
      }
      Add(n + ".fc1.w", int64_t{s.ffn} * d, 1.0 / std::sqrt(d));
      Add(n + ".fc1.b", s.ffn, 0.1);
      Add(n + ".fc2.w", int64_t{d} * s.ffn, 1.0 / std::sqrt(s.ffn));
      Add(n + ".fc2.b", d, 0.1);
    }
    Add("enc.ln.w", d, 0.3, 1.0);
    Add("enc.ln.b", d, 0.2);
  }
  void Read(std::string_view name, int64_t first, int64_t count,
            float* out) const override {
    const auto& values = At(name);
    std::copy_n(values.begin() + first, count, out);
  }
  void Release(std::string_view) const override {}
  const std::vector<float>& At(std::string_view name) const {
    return values_.find(name)->second;
  }

 private:
  void Add(const std::string& name, int64_t count, double sd, double mean = 0) {
    std::normal_distribution<float> normal(static_cast<float>(mean),
                                           static_cast<float>(sd));
    auto& values = values_[name];
    for (int64_t i = 0; i < count; ++i) values.push_back(normal(random_));
  }
  std::mt19937 random_;
  std::map<std::string, std::vector<float>, std::less<>> values_;
};

using Rows = std::vector<std::vector<double>>;

double Gelu(double x) { return x / 2 * (1 + std::erf(x / std::sqrt(2.0))); }

// OpenAI's model.py in doubles, one loop a formula; notes activations' ranges.
class Reference {
 public:
  Reference(const EncoderShape& s, const RandomWeights& w) : s_(s), w_(w) {}

  Rows Run(const std::vector<float>& mel) {
    Rows frames(static_cast<size_t>(s_.frames),
                std::vector<double>(static_cast<size_t>(s_.n_mels)));
    for (int t = 0; t < s_.frames; ++t)
      for (int c = 0; c < s_.n_mels; ++c)
        frames[t][c] = mel[static_cast<size_t>(c) * s_.frames + t];
    Rows h = Conv(frames, "enc.conv1", 1);
    Rows thrice = h;
    for (auto& row : thrice) {
      const auto once = row;
      for (int i = 0; i < 2; ++i)
        row.insert(row.end(), once.begin(), once.end());
    }
    See("stem.h", thrice);
    Rows x = Conv(h, "enc.conv2", 2);
    for (size_t t = 0; t < x.size(); ++t)
      for (int c = 0; c < s_.width; ++c)
        x[t][c] += w_.At("enc.pos")[t * s_.width + c];
    for (int i = 0; i < s_.layers; ++i) Layer(i, &x);
    return Norm(x, "enc.ln");
  }
  const Calibration& seen() const { return seen_; }

 private:
  void See(const std::string& site, const Rows& rows) {
    std::vector<float> flat;
    for (const auto& row : rows)
      flat.insert(flat.end(), row.begin(), row.end());
    seen_.See(site, flat, rows[0].size());
  }
  Rows Conv(const Rows& x, const std::string& name, int stride) {
    const auto& w = w_.At(name + ".w");
    const auto& b = w_.At(name + ".b");
    const int channels = static_cast<int>(x[0].size());
    Rows out;
    for (int t = 0; t < static_cast<int>(x.size()); t += stride) {
      auto& row = out.emplace_back();
      for (int o = 0; o < s_.width; ++o) {
        double sum = b[o];
        for (int tap = 0; tap < 3; ++tap) {
          const int at = t + tap - 1;
          if (at < 0 || at >= static_cast<int>(x.size())) continue;
          for (int c = 0; c < channels; ++c)
            sum +=
                x[at][c] * w[(static_cast<size_t>(o) * channels + c) * 3 + tap];
        }
        row.push_back(Gelu(sum));
      }
    }
    return out;
  }
  Rows Norm(const Rows& x, const std::string& name) {
    Rows out = x;
    for (auto& row : out) {
      double mean = 0, var = 0;
      for (const double v : row) mean += v / double(row.size());
      for (const double v : row)
        var += (v - mean) * (v - mean) / double(row.size());
      for (size_t c = 0; c < row.size(); ++c)
        row[c] =
            (row[c] - mean) / std::sqrt(var + 1e-5) * w_.At(name + ".w")[c] +
            w_.At(name + ".b")[c];
    }
    return out;
  }
  Rows Linear(const Rows& x, const std::string& name, int n, bool bias = true) {
    const auto& w = w_.At(name + ".w");
    Rows out;
    for (const auto& row : x) {
      auto& y = out.emplace_back();
      for (int i = 0; i < n; ++i) {
        double sum = bias ? w_.At(name + ".b")[i] : 0;
        for (size_t k = 0; k < row.size(); ++k)
          sum += row[k] * w[i * row.size() + k];
        y.push_back(sum);
      }
    }
    return out;
  }
  void Layer(int i, Rows* x) {
    const std::string n = "enc." + std::to_string(i);
    const std::string site = std::to_string(i) + ".";
    const Rows normed = Norm(*x, n + ".attn_ln");
    See(site + "ln1", normed);
    const Rows q = Linear(normed, n + ".attn.q", s_.width);
    const Rows k = Linear(normed, n + ".attn.k", s_.width, false);
    const Rows v = Linear(normed, n + ".attn.v", s_.width);
    See(site + "q", q);
    See(site + "k", k);
    See(site + "v", v);
    const Rows seen = Attend(q, k, v);
    See(site + "attn", seen);
    Sum(Linear(seen, n + ".attn.o", s_.width), x);
    const Rows second = Norm(*x, n + ".mlp_ln");
    See(site + "ln2", second);
    Rows h = Linear(second, n + ".fc1", s_.ffn);
    for (auto& row : h)
      for (double& value : row) value = Gelu(value);
    See(site + "h", h);
    Sum(Linear(h, n + ".fc2", s_.width), x);
  }
  Rows Attend(const Rows& q, const Rows& k, const Rows& v) {
    Rows out(q.size(), std::vector<double>(q[0].size()));
    for (int head = 0; head < s_.heads; ++head)
      for (size_t i = 0; i < q.size(); ++i) {
        std::vector<double> p(k.size());
        double sum = 0;
        for (size_t j = 0; j < k.size(); ++j) {
          double score = 0;
          for (int c = head * 64; c < head * 64 + 64; ++c)
            score += q[i][c] * k[j][c];
          sum += p[j] = std::exp(score / 8);
        }
        for (size_t j = 0; j < k.size(); ++j)
          for (int c = head * 64; c < head * 64 + 64; ++c)
            out[i][c] += p[j] / sum * v[j][c];
      }
    return out;
  }
  static void Sum(const Rows& y, Rows* x) {
    for (size_t t = 0; t < y.size(); ++t)
      for (size_t c = 0; c < y[t].size(); ++c) (*x)[t][c] += y[t][c];
  }

  const EncoderShape& s_;
  const RandomWeights& w_;
  Calibration seen_;
};

std::vector<float> RandomMel(const EncoderShape& s, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0.0F, 0.6F);
  std::vector<float> mel(static_cast<size_t>(s.n_mels) * s.frames);
  for (float& v : mel) v = normal(random);
  return mel;
}

double Cosine(const Rows& want, const std::vector<float>& got) {
  double ab = 0, aa = 0, bb = 0;
  size_t at = 0;
  for (const auto& row : want)
    for (const double v : row) {
      const double g = got[at++];
      ab += v * g, aa += v * v, bb += g * g;
    }
  return ab / std::sqrt(aa * bb);
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
