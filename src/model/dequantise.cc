// SPDX-License-Identifier: MIT
// note: the block formats are ggml's (ggml-common.h, ggml-quants.c); products
// are formed in the same order as there, so that values agree bit for bit.
#include "model/dequantise.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "base/error.h"
#include "tensor/half.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace sotto {
namespace {

template <typename T>
T Load(const std::byte* p) {
  T value;
  std::memcpy(&value, p, sizeof(T));
  return value;
}

float LoadHalf(const std::byte* p) { return ToFloat(Load<F16>(p)); }

unsigned U(std::byte b) { return std::to_integer<unsigned>(b); }
int Low(std::byte b) { return static_cast<int>(U(b) & 15u); }
int High(std::byte b) { return static_cast<int>(U(b) >> 4); }

void HalfPlain(const std::byte* source, size_t count, float* out) {
  for (size_t i = 0; i < count; ++i) out[i] = LoadHalf(source + 2 * i);
}

#if defined(__x86_64__)
// Every CPU with AVX2 has F16C. Converts 8 values at a time: the conversion
// of a whole checkpoint runs at the speed of memory.
__attribute__((target("avx2,f16c"))) void HalfF16c(const std::byte* source,
                                                   size_t count, float* out) {
  size_t i = 0;
  for (; i + 8 <= count; i += 8) {
    __m128i half;
    std::memcpy(&half, source + 2 * i, sizeof(half));
    _mm256_storeu_ps(out + i, _mm256_cvtph_ps(half));
  }
  HalfPlain(source + 2 * i, count - i, out + i);
}
#endif

void Half(const std::byte* source, size_t count, float* out) {
#if defined(__x86_64__)
  static const bool f16c = __builtin_cpu_supports("avx2");
  if (f16c) return HalfF16c(source, count, out);
#endif
  HalfPlain(source, count, out);
}

void Brain(const std::byte* source, size_t count, float* out) {
  for (size_t i = 0; i < count; ++i)
    out[i] = ToFloat(Load<BF16>(source + 2 * i));
}

// Block types: `b` is one block, `out` its 32 or 256 values.

void BlockQ4_0(const std::byte* b, float* out) {
  const float d = LoadHalf(b);
  for (int j = 0; j < 16; ++j) {
    out[j] = static_cast<float>(Low(b[2 + j]) - 8) * d;
    out[j + 16] = static_cast<float>(High(b[2 + j]) - 8) * d;
  }
}

void BlockQ4_1(const std::byte* b, float* out) {
  const float d = LoadHalf(b);
  const float m = LoadHalf(b + 2);
  for (int j = 0; j < 16; ++j) {
    out[j] = static_cast<float>(Low(b[4 + j])) * d + m;
    out[j + 16] = static_cast<float>(High(b[4 + j])) * d + m;
  }
}

// The fifth bit of value i is bit i of a 32-bit word.
std::pair<int, int> Fives(const std::byte* quants, uint32_t high, int j) {
  return {Low(quants[j]) | static_cast<int>(((high >> j) << 4) & 16u),
          High(quants[j]) | static_cast<int>((high >> (j + 12)) & 16u)};
}

void BlockQ5_0(const std::byte* b, float* out) {
  const float d = LoadHalf(b);
  const auto high = Load<uint32_t>(b + 2);
  for (int j = 0; j < 16; ++j) {
    const auto [x0, x1] = Fives(b + 6, high, j);
    out[j] = static_cast<float>(x0 - 16) * d;
    out[j + 16] = static_cast<float>(x1 - 16) * d;
  }
}

void BlockQ5_1(const std::byte* b, float* out) {
  const float d = LoadHalf(b);
  const float m = LoadHalf(b + 2);
  const auto high = Load<uint32_t>(b + 4);
  for (int j = 0; j < 16; ++j) {
    const auto [x0, x1] = Fives(b + 8, high, j);
    out[j] = static_cast<float>(x0) * d + m;
    out[j + 16] = static_cast<float>(x1) * d + m;
  }
}

void BlockQ8_0(const std::byte* b, float* out) {
  const float d = LoadHalf(b);
  for (int j = 0; j < 32; ++j)
    out[j] = static_cast<float>(Load<int8_t>(b + 2 + j)) * d;
}

// Eight 6-bit scales and eight 6-bit minima in 12 bytes; pair j.
std::pair<float, float> ScaleMin(const std::byte* q, int j) {
  unsigned scale = U(q[j]) & 63u;
  unsigned min = U(q[j + 4]) & 63u;
  if (j >= 4) {
    scale = (U(q[j + 4]) & 15u) | ((U(q[j - 4]) >> 6) << 4);
    min = (U(q[j + 4]) >> 4) | ((U(q[j]) >> 6) << 4);
  }
  return {static_cast<float>(scale), static_cast<float>(min)};
}

void BlockQ4_K(const std::byte* b, float* out) {
  const float d = LoadHalf(b);
  const float dmin = LoadHalf(b + 2);
  const std::byte* q = b + 16;
  for (int pair = 0; pair < 4; ++pair, q += 32, out += 64) {
    const auto [s0, m0] = ScaleMin(b + 4, 2 * pair);
    const auto [s1, m1] = ScaleMin(b + 4, 2 * pair + 1);
    const float d0 = d * s0, n0 = dmin * m0, d1 = d * s1, n1 = dmin * m1;
    for (int l = 0; l < 32; ++l) {
      out[l] = d0 * static_cast<float>(Low(q[l])) - n0;
      out[l + 32] = d1 * static_cast<float>(High(q[l])) - n1;
    }
  }
}

void BlockQ5_K(const std::byte* b, float* out) {
  const float d = LoadHalf(b);
  const float dmin = LoadHalf(b + 2);
  const std::byte* high = b + 16;
  const std::byte* q = b + 48;
  for (int pair = 0; pair < 4; ++pair, q += 32, out += 64) {
    const auto [s0, m0] = ScaleMin(b + 4, 2 * pair);
    const auto [s1, m1] = ScaleMin(b + 4, 2 * pair + 1);
    const float d0 = d * s0, n0 = dmin * m0, d1 = d * s1, n1 = dmin * m1;
    for (int l = 0; l < 32; ++l) {
      const unsigned bits = U(high[l]) >> (2 * pair);
      const int x0 = Low(q[l]) + ((bits & 1u) != 0 ? 16 : 0);
      const int x1 = High(q[l]) + ((bits & 2u) != 0 ? 16 : 0);
      out[l] = d0 * static_cast<float>(x0) - n0;
      out[l + 32] = d1 * static_cast<float>(x1) - n1;
    }
  }
}

void BlockQ6_K(const std::byte* b, float* out) {
  const std::byte* low = b;
  const std::byte* high = b + 128;
  const std::byte* scales = b + 192;
  const float d = LoadHalf(b + 208);
  for (int half = 0; half < 2; ++half) {
    for (int l = 0; l < 32; ++l) {
      const std::array<int, 4> nibbles = {Low(low[l]), Low(low[l + 32]),
                                          High(low[l]), High(low[l + 32])};
      for (int k = 0; k < 4; ++k) {
        const int top = static_cast<int>((U(high[l]) >> (2 * k)) & 3u) << 4;
        const auto scale = Load<int8_t>(scales + l / 16 + 2 * k);
        out[l + 32 * k] = d * static_cast<float>(scale) *
                          static_cast<float>((nibbles[k] | top) - 32);
      }
    }
    low += 64, high += 32, scales += 8, out += 128;
  }
}

using BlockFn = void (*)(const std::byte*, float*);

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
      return BlockQ4_K;
    case DType::kQ5_K:
      return BlockQ5_K;
    case DType::kQ6_K:
      return BlockQ6_K;
    default:
      return nullptr;
  }
}

}  // namespace

void Dequantise(DType dtype, const std::byte* source, size_t count,
                float* out) {
  if (count == 0) return;
  switch (dtype) {
    case DType::kF32:
      std::memcpy(out, source, 4 * count);
      return;
    case DType::kF16:
      Half(source, count, out);
      return;
    case DType::kBF16:
      Brain(source, count, out);
      return;
    case DType::kI8:
      for (size_t i = 0; i < count; ++i)
        out[i] = static_cast<float>(Load<int8_t>(source + i));
      return;
    case DType::kI32:
      for (size_t i = 0; i < count; ++i)
        out[i] = static_cast<float>(Load<int32_t>(source + 4 * i));
      return;
    default:
      break;
  }
  const DTypeInfo info = Info(dtype);
  const BlockFn block = BlockOf(dtype);
  SOTTO_CHECK(block != nullptr && count % info.block_elements == 0);
  for (size_t i = 0; i < count; i += info.block_elements) {
    block(source, out + i);
    source += info.block_bytes;
  }
}

}  // namespace sotto
