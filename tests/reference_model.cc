// SPDX-License-Identifier: MIT
#include "reference_model.h"

#include <algorithm>
#include <cmath>

namespace sotto {
namespace {

Matrix Zeros(int64_t rows, int64_t width) {
  return {rows, width,
          std::vector<double>(static_cast<size_t>(rows * width), 0.0)};
}

void Accumulate(Matrix& x, const Matrix& y) {
  for (size_t i = 0; i < x.values.size(); ++i) x.values[i] += y.values[i];
}

void Gelu(Matrix& x) {
  for (double& value : x.values)
    value = value / 2 * (1 + std::erf(value / std::sqrt(2.0)));
}

}  // namespace

std::vector<double> ReferenceModel::Read(const std::string& name) const {
  const int64_t count = store_.Get(name).tensor.Elements();
  std::vector<float> values(static_cast<size_t>(count));
  store_.Read(name, 0, count, values.data());
  return {values.begin(), values.end()};
}

Matrix ReferenceModel::Linear(const Matrix& x, const std::string& name) const {
  const std::vector<double> w = Read(name + ".w");
  const auto out = static_cast<int64_t>(w.size()) / x.width;
  std::vector<double> b(static_cast<size_t>(out), 0.0);
  if (store_.Has(name + ".b")) b = Read(name + ".b");
  Matrix y = Zeros(x.rows, out);
  for (int64_t r = 0; r < x.rows; ++r)
    for (int64_t o = 0; o < out; ++o) {
      double sum = b[static_cast<size_t>(o)];
      for (int64_t k = 0; k < x.width; ++k)
        sum += x.At(r, k) * w[static_cast<size_t>(o * x.width + k)];
      y.At(r, o) = sum;
    }
  return y;
}

Matrix ReferenceModel::LayerNorm(const Matrix& x,
                                 const std::string& name) const {
  const std::vector<double> w = Read(name + ".w"), b = Read(name + ".b");
  Matrix y = x;
  for (int64_t r = 0; r < x.rows; ++r) {
    double mean = 0, variance = 0;
    for (int64_t k = 0; k < x.width; ++k) mean += x.At(r, k);
    mean /= static_cast<double>(x.width);
    for (int64_t k = 0; k < x.width; ++k)
      variance += std::pow(x.At(r, k) - mean, 2);
    variance /= static_cast<double>(x.width);
    for (int64_t k = 0; k < x.width; ++k)
      y.At(r, k) = (x.At(r, k) - mean) / std::sqrt(variance + 1e-5) *
                       w[static_cast<size_t>(k)] +
                   b[static_cast<size_t>(k)];
  }
  return y;
}

Matrix ReferenceModel::Attention(const Matrix& x, const Matrix& other,
                                 const std::string& name, int64_t heads,
                                 bool causal) const {
  const Matrix q = Linear(x, name + ".q");
  const Matrix k = Linear(other, name + ".k");
  const Matrix v = Linear(other, name + ".v");
  const int64_t dim = q.width / heads;
  const double scale = std::pow(static_cast<double>(dim), scale_power_);
  Matrix seen = Zeros(x.rows, q.width);
  std::vector<double> score(static_cast<size_t>(other.rows));
  for (int64_t h = 0; h < heads; ++h)
    for (int64_t r = 0; r < x.rows; ++r) {
      const int64_t last = causal ? r + 1 : other.rows;
      double most = -INFINITY, sum = 0;
      for (int64_t j = 0; j < last; ++j) {
        double dot = 0;
        for (int64_t d = h * dim; d < (h + 1) * dim; ++d)
          dot += q.At(r, d) * k.At(j, d);
        score[static_cast<size_t>(j)] = dot * scale;
        most = std::max(most, dot * scale);
      }
      for (int64_t j = 0; j < last; ++j) {
        double& weight = score[static_cast<size_t>(j)];
        weight = std::exp(weight - most);
        sum += weight;
      }
      for (int64_t j = 0; j < last; ++j)
        for (int64_t d = h * dim; d < (h + 1) * dim; ++d)
          seen.At(r, d) += score[static_cast<size_t>(j)] / sum * v.At(j, d);
    }
  return Linear(seen, name + ".o");
}

Matrix ReferenceModel::Convolution(const Matrix& x, const std::string& name,
                                   int64_t stride) const {
  const std::vector<double> w = Read(name + ".w"), b = Read(name + ".b");
  const auto out = static_cast<int64_t>(b.size());
  Matrix y = Zeros((x.rows - 1) / stride + 1, out);
  for (int64_t t = 0; t < y.rows; ++t)
    for (int64_t o = 0; o < out; ++o) {
      double sum = b[static_cast<size_t>(o)];
      for (int64_t tap = 0; tap < 3; ++tap) {
        const int64_t row = t * stride + tap - 1;
        if (row < 0 || row >= x.rows) continue;
        for (int64_t c = 0; c < x.width; ++c)
          sum += x.At(row, c) *
                 w[static_cast<size_t>((o * x.width + c) * 3 + tap)];
      }
      y.At(t, o) = sum;
    }
  Gelu(y);
  return y;
}

void ReferenceModel::AddMlp(Matrix& x, const std::string& name) const {
  Matrix h = Linear(LayerNorm(x, name + ".mlp_ln"), name + ".fc1");
  Gelu(h);
  Accumulate(x, Linear(h, name + ".fc2"));
}

Matrix ReferenceModel::Encode(std::span<const float> mel,
                              int64_t frames) const {
  const ModelSpec& spec = store_.spec();
  Matrix x = Zeros(frames, spec.n_mels);
  for (int64_t t = 0; t < frames; ++t)
    for (int64_t c = 0; c < spec.n_mels; ++c)
      x.At(t, c) = mel[static_cast<size_t>(c * frames + t)];
  x = Convolution(Convolution(x, "enc.conv1", 1), "enc.conv2", 2);
  const std::vector<double> positions = Read("enc.pos");
  for (size_t i = 0; i < x.values.size(); ++i) x.values[i] += positions[i];
  for (int i = 0; i < spec.n_audio_layers; ++i) {
    const std::string name = "enc." + std::to_string(i);
    const Matrix n = LayerNorm(x, name + ".attn_ln");
    Accumulate(x, Attention(n, n, name + ".attn", spec.n_audio_heads, false));
    AddMlp(x, name);
  }
  return LayerNorm(x, "enc.ln");
}

Matrix ReferenceModel::Decode(std::span<const int> tokens,
                              const Matrix& audio) const {
  const ModelSpec& spec = store_.spec();
  const int64_t d = spec.n_text_state;
  const std::vector<double> table = Read("dec.tok_emb"),
                            where = Read("dec.pos");
  Matrix x = Zeros(static_cast<int64_t>(tokens.size()), d);
  for (int64_t r = 0; r < x.rows; ++r)
    for (int64_t k = 0; k < d; ++k)
      x.At(r, k) =
          table[static_cast<size_t>(tokens[static_cast<size_t>(r)] * d + k)] +
          where[static_cast<size_t>(r * d + k)];
  for (int i = 0; i < spec.n_text_layers; ++i) {
    const std::string name = "dec." + std::to_string(i);
    const Matrix n = LayerNorm(x, name + ".attn_ln");
    Accumulate(x, Attention(n, n, name + ".attn", spec.n_text_heads, true));
    Accumulate(x, Attention(LayerNorm(x, name + ".cross_ln"), audio,
                            name + ".cross", spec.n_text_heads, false));
    AddMlp(x, name);
  }
  x = LayerNorm(x, "dec.ln");
  Matrix logits = Zeros(x.rows, spec.n_vocab);
  for (int64_t r = 0; r < x.rows; ++r)
    for (int64_t v = 0; v < spec.n_vocab; ++v)
      for (int64_t k = 0; k < d; ++k)
        logits.At(r, v) += x.At(r, k) * table[static_cast<size_t>(v * d + k)];
  return logits;
}

}  // namespace sotto
