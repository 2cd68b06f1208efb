// SPDX-License-Identifier: MIT
// OpenAI's encoder in doubles, one loop a formula, and random weights for it.
// For tests.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "base/thread_pool.h"
#include "npu/encoder/calibration.h"
#include "npu/encoder/rounding.h"
#include "npu/encoder/shape.h"
#include "runtime/weight_reader.h"

namespace sotto::npu {

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
  std::vector<float>& Of(std::string_view name) {
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

inline std::vector<float> Flat(const Rows& rows) {
  std::vector<float> flat;
  for (const auto& row : rows) flat.insert(flat.end(), row.begin(), row.end());
  return flat;
}

inline double Gelu(double x) {
  return x / 2 * (1 + std::erf(x / std::sqrt(2.0)));
}

// OpenAI's model.py in doubles, one loop a formula. Notes what calibration
// wants to know of the activations.
class Reference {
 public:
  Reference(const EncoderShape& s, const RandomWeights& w) : s_(s), w_(w) {}

  Rows Run(const std::vector<float>& mel) {
    Rows x = Stem(mel);
    for (int i = 0; i < s_.layers; ++i) Layer(i, &x);
    return Last(x);
  }
  Rows Last(const Rows& x) const { return Norm(x, "enc.ln"); }
  // Both convolutions and the positions.
  Rows Stem(const std::vector<float>& mel) {
    Rows frames(static_cast<size_t>(s_.frames),
                std::vector<double>(static_cast<size_t>(s_.n_mels)));
    for (int t = 0; t < s_.frames; ++t)
      for (int c = 0; c < s_.n_mels; ++c)
        frames[t][c] = mel[static_cast<size_t>(c) * s_.frames + t];
    const Rows h = Conv(frames, "enc.conv1", 1);
    SeeStem(h);
    Rows x = Conv(h, "enc.conv2", 2);
    for (size_t t = 0; t < x.size(); ++t)
      for (int c = 0; c < s_.width; ++c)
        x[t][c] += w_.At("enc.pos")[t * s_.width + c];
    return x;
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
  const Calibration& seen() const { return seen_; }
  const Moments& moments() const { return moments_; }

 private:
  void See(const std::string& site, const Rows& rows) {
    const std::vector<float> flat = Flat(rows);
    seen_.See(site, flat, rows[0].size());
    moments_.See(site, flat, rows[0].size(), pool_);
  }
  // The second convolution reads three frames side by side: row t those around
  // 2t. Any frame may stand in any of the three places.
  void SeeStem(const Rows& h) {
    Rows thrice = h, beside;
    for (auto& row : thrice) {
      const auto once = row;
      for (int i = 0; i < 2; ++i)
        row.insert(row.end(), once.begin(), once.end());
    }
    seen_.See("stem.h", Flat(thrice), thrice[0].size());
    for (size_t t = 2; t + 1 < h.size(); t += 2) {
      auto& row = beside.emplace_back(h[t - 1]);
      for (const size_t at : {t, t + 1})
        row.insert(row.end(), h[at].begin(), h[at].end());
    }
    if (!beside.empty())
      moments_.See("stem.h", Flat(beside), beside[0].size(), pool_);
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
  Rows Norm(const Rows& x, const std::string& name) const {
    const auto& gamma = w_.At(name + ".w");
    const auto& beta = w_.At(name + ".b");
    Rows out = x;
    for (auto& row : out) {
      double mean = 0, var = 0;
      for (const double v : row) mean += v / double(row.size());
      for (const double v : row)
        var += (v - mean) * (v - mean) / double(row.size());
      for (size_t c = 0; c < row.size(); ++c)
        row[c] = (row[c] - mean) / std::sqrt(var + 1e-5) * gamma[c] + beta[c];
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
  Moments moments_;
  ThreadPool pool_{1};
};

inline double Cosine(const Rows& want, const std::vector<float>& got) {
  double ab = 0, aa = 0, bb = 0;
  size_t at = 0;
  for (const auto& row : want)
    for (const double v : row) {
      const double g = got[at++];
      ab += v * g, aa += v * v, bb += g * g;
    }
  return ab / std::sqrt(aa * bb);
}

}  // namespace sotto::npu
