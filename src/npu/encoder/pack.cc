// SPDX-License-Identifier: MIT
#include "npu/encoder/pack.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>

#include "npu/encoder/pack_matrix.h"
#include "tensor/half.h"

namespace sotto::npu {
namespace {

// log2(e) / sqrt(64): attention's scores are logarithms to base 2.
constexpr double kScoreScale = 1.4426950408889634 / 8.0;
// What makes a convolution's output before the first frame vanish: GELU of it
// is zero.
constexpr float kNothing = -30000.0F;

// The rows [0, rows) of heads' values, as RotateHeads turns what they give.
void RotateOutputs(int rows, Dense* m) {
  std::array<float, kTile> values;
  for (int head = 0; head < rows; head += kTile) {
    for (int j = 0; j < m->k; ++j) {
      for (int i = 0; i < kTile; ++i) values[i] = m->row(head + i)[j];
      RotateHeads(values);
      for (int i = 0; i < kTile; ++i) m->row(head + i)[j] = values[i];
    }
    RotateHeads(std::span(m->bias).subspan(head, kTile));
  }
}

using Visit = FunctionRef<void(const Unrounded&)>;

class Packer {
 public:
  Packer(const EncoderShape& shape, EncoderPrecision precision,
         const WeightReader& weights, const Calibration* calibration,
         const Visit* visit = nullptr)
      : shape_(shape),
        int8_(precision == EncoderPrecision::kInt8),
        weights_(weights),
        calibration_(calibration),
        visit_(visit) {}

  PackedMatrix Stem1(const Dense& stem2) const;
  Dense Stem2() const;
  sotto::Buffer Positions() const;
  PackedLayer Layer(int i) const;
  // Or shows it, where somebody looks at what is not rounded yet.
  PackedMatrix Packed(const Dense& m) const;
  // `next`: what reads the norm's result; null where nothing is rounded.
  PackedNorm Norm(const std::string& name, const Dense* next) const;

 private:
  void SetHeads(int layer, Dense* qkv, std::vector<int>* shifts) const;

  std::vector<float> Read(const std::string& name, int64_t count) const {
    std::vector<float> values(static_cast<size_t>(count));
    weights_.Read(name, 0, count, values.data());
    weights_.Release(name);
    return values;
  }
  // Rows [first, first + n) of `m` from a linear layer.
  void Place(const std::string& name, bool bias, int n, int first,
             Dense* m) const {
    const auto w = Read(name + ".w", int64_t{n} * m->k);
    std::copy(w.begin(), w.end(), m->row(first));
    if (!bias) return;
    const auto b = Read(name + ".b", n);
    std::copy(b.begin(), b.end(), m->bias.begin() + first);
  }
  Dense Linear(const std::string& name, int n, int k) const {
    Dense m(name, n, k);
    Place(name, true, n, 0, &m);
    return m;
  }
  void SetCodes(const std::string& site, CodesOf of, Dense* m) const {
    if (!int8_) return;
    Codes codes = InputCodes(calibration_->Of(site), m->Largest(), of);
    m->site = site;
    m->most = codes.most;
    m->step = std::move(codes.steps);
    m->zero = std::move(codes.zeros);
  }
  // m's results, after GELU, are what `next` reads.
  static void ToCodesOf(const Dense& next, Dense* m) {
    for (size_t i = 0; i < next.step.size(); ++i)
      m->scale[i] = 1 / next.step[i];
    m->codes = next.zero;
    m->mode |= kFinishInt16;
  }

  const EncoderShape& shape_;
  const bool int8_;
  const WeightReader& weights_;
  const Calibration* calibration_;
  const Visit* visit_;
};

PackedMatrix Packer::Packed(const Dense& m) const {
  if (visit_ != nullptr) {
    if (!m.site.empty()) (*visit_)(WithoutRounding(m));
    return {};
  }
  if (!int8_) return PackDense(m, nullptr);
  const auto at = calibration_->roundings.find(m.name);
  return PackDense(m,
                   at == calibration_->roundings.end() ? nullptr : &at->second);
}

// Row t of the stem's input holds frames 2t-2 .. 2t+2; of its output, what the
// first convolution gives for frames 2t-1, 2t and 2t+1: a row of the second's.
PackedMatrix Packer::Stem1(const Dense& stem2) const {
  const int d = shape_.width;
  const int mels = shape_.n_mels;
  const auto w = Read("enc.conv1.w", int64_t{d} * mels * 3);
  const auto b = Read("enc.conv1.b", d);
  Dense m("stem1", 3 * d, shape_.stem_columns());
  for (int tap = 0; tap < 3; ++tap) {
    for (int o = 0; o < d; ++o) {
      float* row = m.row(tap * d + o);
      for (int c = 0; c < mels; ++c)
        for (int x = 0; x < 3; ++x)
          row[(tap + x) * mels + c] =
              w[(static_cast<size_t>(o) * mels + c) * 3 + x];
      m.bias[tap * d + o] = b[o];
      // Frame -1 is padding, not a frame: no output there.
      if (tap == 0)
        std::fill_n(row + 5 * mels, shape_.marks(int8_),
                    int8_ ? kMarkWeight : kNothing);
    }
  }
  if (int8_) {
    m.most = kWideCodes;
    m.step.assign(static_cast<size_t>(m.k), kMelStep);
    constexpr auto kMost = static_cast<float>(kWideCodes);
    m.least.resize(static_cast<size_t>(m.n));
    // The marks outweigh whatever the first frame gives, by 8: GELU(-8) is 0.
    for (int o = 0; o < d; ++o) {
      float sum = std::abs(b[o]) + 8;
      for (int c = 0; c < mels; ++c)
        sum += std::abs(m.row(o)[2 * mels + c]) * kMost * kMelStep;
      m.least[o] =
          sum / (kMost * 127.0F * static_cast<float>(shape_.marks(true)));
    }
    ToCodesOf(stem2, &m);
  }
  m.mode |= kFinishGelu;
  return Packed(m);
}

Dense Packer::Stem2() const {
  const int d = shape_.width;
  const auto w = Read("enc.conv2.w", int64_t{d} * d * 3);
  Dense m("stem2", d, 3 * d);
  m.bias = Read("enc.conv2.b", d);
  for (int o = 0; o < d; ++o)
    for (int c = 0; c < d; ++c)
      for (int x = 0; x < 3; ++x)
        m.row(o)[x * d + c] = w[(static_cast<size_t>(o) * d + c) * 3 + x];
  SetCodes("stem.h", CodesOf::kGelu, &m);
  m.mode = kFinishGelu | kFinishResidual;
  return m;
}

sotto::Buffer Packer::Positions() const {
  const int d = shape_.width;
  const auto table = Read("enc.pos", int64_t{shape_.positions()} * d);
  sotto::Buffer tiles(static_cast<size_t>(shape_.rows()) * d * 2);
  auto* out = tiles.As<BF16>();
  for (int t = 0; t < shape_.positions(); ++t)
    for (int c = 0; c < d; ++c)
      out[(t / kTile * shape_.width_tiles() + c / kTile) * kTileElements +
          ((t % kTile / 4 * 8 + c % kTile / 8) * 4 + t % 4) * 8 + c % 8] =
          ToBF16(table[static_cast<size_t>(t) * d + c]);
  return tiles;
}

PackedNorm Packer::Norm(const std::string& name, const Dense* next) const {
  const auto gamma = Read(name + ".w", shape_.width);
  const auto beta = Read(name + ".b", shape_.width);
  PackedNorm packed(static_cast<size_t>(2 * shape_.width));
  for (int c = 0; c < shape_.width; ++c) {
    const bool round = next != nullptr && int8_;
    const float over = round ? 1 / next->step[c] : 1.0F;
    const size_t at = static_cast<size_t>(c / kTile) * 2 * kTile + c % kTile;
    packed[at] = gamma[c] * over;
    packed[at + kTile] = beta[c] * over + (round ? next->zero[c] : 0.0F);
  }
  return packed;
}

// int8 of q and k. A key's constant part adds the same to all of a query's
// scores, which softmax does not see: channels of k are centred for nothing.
// Steps of q and k may differ from channel to channel as long as their product
// does not: q's are to k's as their ranges are.
void Packer::SetHeads(int layer, Dense* qkv, std::vector<int>* shifts) const {
  const int d = shape_.width;
  const auto q = calibration_->Of(fmt::format("{}.q", layer));
  const auto k = calibration_->Of(fmt::format("{}.k", layer));
  constexpr double kNone = 1e-5;
  for (int h = 0; h < shape_.heads; ++h) {
    double product = 0;
    const auto q_range = [&](int c) {
      return std::max(q[c].magnitude() * kScoreScale, kNone) / 127;
    };
    const auto k_range = [&](int c) {
      return std::max(double{k[c].half()}, kNone) / 127;
    };
    for (int c = h * kTile; c < (h + 1) * kTile; ++c)
      product = std::max(product, q_range(c) * k_range(c));
    // What flash_scores_i8 takes: finer steps than 2^-20 no score needs, and
    // above 2^-8 a channel alone would decide.
    const int shift =
        std::clamp(static_cast<int>(std::floor(-std::log2(product))), 8, 20);
    shifts->push_back(shift);
    for (int c = h * kTile; c < (h + 1) * kTile; ++c) {
      const double k_step =
          std::sqrt(std::exp2(-shift) * k_range(c) / q_range(c));
      qkv->scale[c] = static_cast<float>(k_step * std::exp2(shift));
      qkv->scale[d + c] = static_cast<float>(1 / k_step);
      qkv->bias[d + c] -= k[c].middle();
    }
  }
}

PackedLayer Packer::Layer(int i) const {
  const int d = shape_.width;
  const std::string name = fmt::format("enc.{}", i);
  const auto site = [i](const char* what) {
    return fmt::format("{}.{}", i, what);
  };
  PackedLayer layer;
  Dense qkv(name + ".attn.qkv", 3 * d, d);
  Place(name + ".attn.q", true, d, 0, &qkv);
  Place(name + ".attn.k", false, d, d, &qkv);
  Place(name + ".attn.v", true, d, 2 * d, &qkv);
  if (int8_) RotateOutputs(2 * d, &qkv);
  Dense out = Linear(name + ".attn.o", d, d);
  Dense fc1 = Linear(name + ".fc1", shape_.ffn, d);
  Dense fc2 = Linear(name + ".fc2", d, shape_.ffn);
  SetCodes(site("ln1"), CodesOf::kNorm, &qkv);
  SetCodes(site("attn"), CodesOf::kAttention, &out);
  SetCodes(site("ln2"), CodesOf::kNorm, &fc1);
  SetCodes(site("h"), CodesOf::kGelu, &fc2);
  std::fill_n(qkv.times.begin(), d, static_cast<float>(kScoreScale));
  out.mode = fc2.mode = kFinishResidual;
  fc1.mode = kFinishGelu;
  if (int8_) {
    ToCodesOf(fc2, &fc1);
    // V stays bf16.
    qkv.mode = kFinishInt8;
    qkv.later = 2 * d;
    SetHeads(i, &qkv, &layer.shifts);
    // Probabilities sum to 1: what is added to values comes out of attention.
    for (int c = 0; c < d; ++c) {
      qkv.times[2 * d + c] = 1 / out.step[c];
      qkv.bias[2 * d + c] += out.zero[c] * out.step[c];
    }
  }
  layer.ln1 = Norm(name + ".attn_ln", &qkv);
  layer.ln2 = Norm(name + ".mlp_ln", &fc1);
  layer.qkv = Packed(qkv);
  layer.out = Packed(out);
  layer.fc1 = Packed(fc1);
  layer.fc2 = Packed(fc2);
  return layer;
}

}  // namespace

uint64_t PackedEncoder::NextId() {
  static std::atomic<uint64_t> next{1};
  return next++;
}

size_t PackedEncoder::bytes() const {
  size_t total = positions.size() + last.size() * sizeof(float);
  const auto add = [&total](const PackedMatrix& m) {
    total += m.tiles.size() + m.columns.size() * sizeof(FinishColumn) +
             m.biases.size() * sizeof(float);
  };
  add(stem1);
  add(stem2);
  for (const PackedLayer& layer : layers) {
    for (const PackedMatrix* m :
         {&layer.qkv, &layer.out, &layer.fc1, &layer.fc2})
      add(*m);
    total += (layer.ln1.size() + layer.ln2.size()) * sizeof(float);
  }
  return total;
}

void VisitUnrounded(const EncoderShape& shape, const WeightReader& weights,
                    const Calibration& calibration, Visit visit) {
  shape.Check();
  calibration.Check(shape);
  const Packer packer(shape, EncoderPrecision::kInt8, weights, &calibration,
                      &visit);
  packer.Packed(packer.Stem2());
  for (int i = 0; i < shape.layers; ++i) packer.Layer(i);
}

PackedEncoder Pack(const EncoderShape& shape, EncoderPrecision precision,
                   const WeightReader& weights,
                   const Calibration* calibration) {
  shape.Check();
  if (precision == EncoderPrecision::kInt8) {
    if (calibration == nullptr)
      Fail(ErrorCode::kBadInput, "npu: int8 needs the model's scales");
    calibration->Check(shape);
  }
  const Packer packer(shape, precision, weights, calibration);
  PackedEncoder packed;
  packed.shape = shape;
  packed.precision = precision;
  {
    const Dense stem2 = packer.Stem2();
    packed.stem1 = packer.Stem1(stem2);
    packed.stem2 = packer.Packed(stem2);
  }
  packed.positions = packer.Positions();
  for (int i = 0; i < shape.layers; ++i)
    packed.layers.push_back(packer.Layer(i));
  packed.last = packer.Norm("enc.ln", nullptr);
  return packed;
}

}  // namespace sotto::npu
