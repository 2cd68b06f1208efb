// SPDX-License-Identifier: MIT
// Random encoders and what the host makes of them. For tests.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <climits>
#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "base/thread_pool.h"
#include "npu/encoder/host_run.h"
#include "npu/encoder/pack.h"
#include "npu/kernels/finish_params.h"
#include "tensor/half.h"

namespace sotto::npu {

// Random weights of the sizes that a trained model has.
class RandomEncoder {
 public:
  RandomEncoder(const EncoderShape& shape, EncoderPrecision precision,
                unsigned seed)
      : rng_(seed) {
    e.shape = shape;
    e.precision = precision;
    const int d = shape.width_tiles();
    e.stem1 =
        Matrix(3 * d, shape.stem_tiles(), kWide, kFinishInt16 | kFinishGelu);
    e.stem2 = Matrix(d, 3 * d, kWide, kFinishGelu | kFinishResidual);
    e.positions =
        sotto::Buffer(static_cast<size_t>(shape.rows()) * shape.width * 2);
    Halves(&e.positions, 0.1F);
    for (int i = 0; i < shape.layers; ++i) {
      PackedLayer& layer = e.layers.emplace_back();
      layer.ln1 = Norm(d);
      layer.ln2 = Norm(d);
      layer.qkv = Matrix(3 * d, d, 128, kFinishInt8, 2 * d);
      layer.out = Matrix(d, d, kWide, kFinishResidual);
      layer.fc1 = Matrix(shape.ffn_tiles(), d, 128, kFinishInt16 | kFinishGelu);
      layer.fc2 = Matrix(d, shape.ffn_tiles(), kWide, kFinishResidual);
      for (int h = 0; h < shape.heads; ++h)
        layer.shifts.push_back(static_cast<int>(rng_() % 3) + 8);
    }
    e.last = Norm(d);
  }
  PackedEncoder e;

 private:
  float Normal(float scale) {
    return std::normal_distribution<float>(0, scale)(rng_);
  }
  void Halves(sotto::Buffer* out, float scale) {
    for (size_t i = 0; i < out->size() / 2; ++i)
      out->As<BF16>()[i] = ToBF16(Normal(scale));
  }
  static constexpr int kWide = kWideCodes + 1;
  // `codes`: of its int8 or int16 inputs, to either side. `mode` is that of
  // tiles before `later`.
  PackedMatrix Matrix(int n_tiles, int k_tiles, int codes, int mode,
                      int later = INT_MAX) {
    PackedMatrix m;
    m.precision = e.precision;
    m.n_tiles = n_tiles;
    m.k_tiles = k_tiles;
    m.tiles =
        sotto::Buffer(static_cast<size_t>(n_tiles * k_tiles) * m.tile_bytes());
    const auto k = static_cast<float>(k_tiles * kTile);
    const bool int8 = e.precision == EncoderPrecision::kInt8;
    if (int8) {
      for (size_t i = 0; i < m.tiles.size(); ++i)
        m.tiles.data()[i] =
            static_cast<std::byte>(static_cast<int>(rng_() % 255) - 127);
    } else {
      Halves(&m.tiles, 1 / std::sqrt(k));
    }
    for (int n = 0; n < n_tiles; ++n) {
      m.modes.push_back(n >= later ? 0
                        : int8     ? mode
                                   : mode & ~(kFinishInt8 | kFinishInt16));
      for (int i = 0; int8 && i < kTile; i += 8)
        m.columns.push_back(Column(m.modes.back(), k, codes));
    }
    for (int i = 0; !int8 && i < n_tiles * kTile; ++i)
      m.biases.push_back(Normal(0.1F));
    return m;
  }
  FinishColumn Column(int mode, float k, int codes) {
    const bool wide = (mode & kFinishInt16) != 0;
    // What neither is added nor becomes codes are values, in attention's steps.
    const double unit = mode == 0 ? 0.2 * kWide : 1;
    std::array<FinishChannel, 8> channels;
    for (FinishChannel& c : channels)
      c = {.multiplier = unit * std::abs(1 + Normal(0.1F)) /
                         (73 * 0.3 * codes * std::sqrt(k)),
           .bias = unit * Normal(0.1F),
           .reach = codes * 127 * double{k},
           .scale = wide ? 480.0 : 30.0,
           .zero = wide ? -1966 : -123};
    return MakeFinishColumn(channels, mode);
  }
  PackedNorm Norm(int tiles) {
    const float scale = e.precision == EncoderPrecision::kInt8 ? 30 : 1;
    PackedNorm norm;
    for (int t = 0; t < tiles; ++t)
      for (int i = 0; i < 2 * kTile; ++i)
        norm.push_back(scale * (i < kTile ? 1 + Normal(0.1F) : Normal(0.1F)));
    return norm;
  }
  std::mt19937 rng_;
};

inline std::vector<float> RandomMel(const EncoderShape& s, unsigned seed) {
  std::mt19937 rng(seed);
  std::uniform_real_distribution<float> value(-0.8F, 1.2F);
  std::vector<float> mel(static_cast<size_t>(s.n_mels) * s.frames);
  for (float& x : mel) x = value(rng);
  return mel;
}

inline std::vector<float> OnHost(const PackedEncoder& encoder,
                                 const std::vector<float>& mel) {
  ThreadPool pool(1);
  sotto::Buffer work(HostRunBytes(encoder));
  std::vector<float> audio(static_cast<size_t>(encoder.shape.positions()) *
                           encoder.shape.width);
  RunOnHost(encoder, mel.data(), audio.data(), work.data(), pool);
  return audio;
}

inline void ExpectSameBits(const std::vector<float>& got,
                           const std::vector<float>& want, int width) {
  ASSERT_EQ(got.size(), want.size());
  size_t differ = 0;
  double largest = 0;
  size_t first = got.size();
  for (size_t i = 0; i < got.size(); ++i) {
    largest = std::max(largest, std::abs(static_cast<double>(want[i])));
    if (std::memcmp(&got[i], &want[i], 4) == 0) continue;
    ++differ;
    first = std::min(first, i);
  }
  EXPECT_GT(largest, 0.1);
  EXPECT_TRUE(std::isfinite(largest));
  if (differ > 0)
    ADD_FAILURE() << differ << " of " << got.size() << " differ, first row "
                  << first / static_cast<size_t>(width) << " column "
                  << first % static_cast<size_t>(width) << ": " << got[first]
                  << " for " << want[first];
}

}  // namespace sotto::npu
