// SPDX-License-Identifier: MIT
// note: ggml's reference (ggml-quants.c, quantize_row_*_ref) rounds by adding
// a half and cutting off; the same is done here, so that files are equal.
#include "model/quantise.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/error.h"
#include "tensor/half.h"

namespace sotto {
namespace {

constexpr int kBlock = 32;

void PutHalf(std::byte* out, float value) {
  const F16 half = ToF16(value);
  std::memcpy(out, &half, sizeof(half));
}

float Inverse(float d) { return d != 0 ? 1.0f / d : 0.0f; }

// The value of the largest magnitude, with its sign; the first of equals.
float Extreme(const float* x) {
  float magnitude = 0, extreme = 0;
  for (int j = 0; j < kBlock; ++j) {
    if (std::fabs(x[j]) <= magnitude) continue;
    magnitude = std::fabs(x[j]);
    extreme = x[j];
  }
  return extreme;
}

// Cut to an integer in [0, most]; NaN gives 0.
unsigned Cut(float value, int most) {
  if (!(value > 0)) return 0;
  return static_cast<unsigned>(std::min(static_cast<float>(most), value));
}

int8_t ToInt8(float value) {
  return value >= -128 && value <= 127 ? static_cast<int8_t>(value) : int8_t{0};
}

// Nibbles of values j and j + 16 share a byte; fifth bits go to a word.
void Pack(const float* x, float offset, float factor, float shift, int most,
          std::byte* nibbles, uint32_t* fifth) {
  for (int j = 0; j < kBlock / 2; ++j) {
    const unsigned a = Cut((x[j] - offset) * factor + shift, most);
    const unsigned b = Cut((x[j + 16] - offset) * factor + shift, most);
    nibbles[j] = static_cast<std::byte>((a & 15u) | ((b & 15u) << 4));
    *fifth |= ((a >> 4) & 1u) << j | ((b >> 4) & 1u) << (j + 16);
  }
}

void BlockQ4_0(const float* x, std::byte* out) {
  const float d = Extreme(x) / -8;
  uint32_t fifth = 0;
  PutHalf(out, d);
  Pack(x, 0, Inverse(d), 8.5f, 15, out + 2, &fifth);
}

void BlockQ5_0(const float* x, std::byte* out) {
  const float d = Extreme(x) / -16;
  uint32_t fifth = 0;
  PutHalf(out, d);
  Pack(x, 0, Inverse(d), 16.5f, 31, out + 6, &fifth);
  std::memcpy(out + 2, &fifth, sizeof(fifth));
}

void BlockQ4_1(const float* x, std::byte* out) {
  const auto [min, max] = std::minmax_element(x, x + kBlock);
  const float d = (*max - *min) / 15;
  uint32_t fifth = 0;
  PutHalf(out, d);
  PutHalf(out + 2, *min);
  Pack(x, *min, Inverse(d), 0.5f, 15, out + 4, &fifth);
}

void BlockQ5_1(const float* x, std::byte* out) {
  const auto [min, max] = std::minmax_element(x, x + kBlock);
  const float d = (*max - *min) / 31;
  uint32_t fifth = 0;
  PutHalf(out, d);
  PutHalf(out + 2, *min);
  Pack(x, *min, Inverse(d), 0.5f, 31, out + 8, &fifth);
  std::memcpy(out + 4, &fifth, sizeof(fifth));
}

void BlockQ8_0(const float* x, std::byte* out) {
  const float d = std::fabs(Extreme(x)) / 127;
  const float inverse = Inverse(d);
  PutHalf(out, d);
  for (int j = 0; j < kBlock; ++j)
    out[2 + j] = static_cast<std::byte>(ToInt8(std::round(x[j] * inverse)));
}

using BlockFn = void (*)(const float*, std::byte*);

BlockFn BlockOf(DType dtype) {
  switch (dtype) {
    case DType::kQ4_0:
      return BlockQ4_0;
    case DType::kQ4_1:
      return BlockQ4_1;
    case DType::kQ5_0:
      return BlockQ5_0;
    case DType::kQ5_1:
      return BlockQ5_1;
    case DType::kQ8_0:
      return BlockQ8_0;
    case DType::kQ4_K:
      return quantise_internal::BlockQ4_K;
    case DType::kQ5_K:
      return quantise_internal::BlockQ5_K;
    case DType::kQ6_K:
      return quantise_internal::BlockQ6_K;
    default:
      return nullptr;
  }
}

}  // namespace

void Quantise(DType dtype, const float* values, size_t count, std::byte* out) {
  const DTypeInfo info = Info(dtype);
  const BlockFn block = BlockOf(dtype);
  SOTTO_CHECK(block != nullptr && count % info.block_elements == 0);
  for (size_t i = 0; i < count; i += info.block_elements) {
    block(values + i, out);
    out += info.block_bytes;
  }
}

float QuantiseRowInt8(const float* values, size_t count, int8_t* out) {
  float most = 0;
  for (size_t i = 0; i < count; ++i)
    most = std::max(most, std::fabs(values[i]));
  const float scale = 127.0f / (most == 0 ? 127.0f : most);
  for (size_t i = 0; i < count; ++i)
    out[i] = ToInt8(std::nearbyint(values[i] * scale));
  return scale;
}

}  // namespace sotto
