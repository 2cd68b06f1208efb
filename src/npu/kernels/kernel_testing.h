// SPDX-License-Identifier: MIT
// What the kernels' tests share: calls through the list, random data, bf16 and
// the blocked layout, each written independently of the kernels.
#pragma once

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <random>
#include <string_view>
#include <vector>

#include "npu/kernels/kernel.h"

namespace sotto::npu {

// Calls a kernel of the list, as the simulator does.
inline void Call(std::string_view name, std::vector<const void*> pointers,
                 std::vector<int32_t> ints = {}) {
  const KernelInfo* kernel = FindKernel(name);
  ASSERT_NE(kernel, nullptr) << name;
  std::vector<std::byte*> bytes;
  for (const void* p : pointers) {
    bytes.push_back(static_cast<std::byte*>(const_cast<void*>(p)));
  }
  kernel->call({bytes, ints});
}

using Bf16s = std::vector<uint16_t>;

inline double FromBf16(uint16_t bits) {
  return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
}
// To nearest, halves to even, by comparing the two neighbours.
inline uint16_t NearestBf16(double x) {
  const float f = static_cast<float>(x);
  const uint16_t down = static_cast<uint16_t>(std::bit_cast<uint32_t>(f) >> 16);
  const uint16_t up = static_cast<uint16_t>(down + 1);
  const double a = std::abs(FromBf16(down) - x);
  const double b = std::abs(FromBf16(up) - x);
  if (a != b) return a < b ? down : up;
  return down % 2 == 0 ? down : up;
}
// The step between bf16 values at |x|.
inline double Bf16Step(double x) {
  if (std::abs(x) < 0x1p-126) return 0x1p-133;
  return std::ldexp(1.0, std::ilogb(x) - 7);
}
inline Bf16s ToBf16s(const std::vector<float>& x) {
  Bf16s out;
  for (float v : x) out.push_back(NearestBf16(v));
  return out;
}
inline std::vector<double> FromBf16s(const Bf16s& x) {
  std::vector<double> out;
  for (uint16_t v : x) out.push_back(FromBf16(v));
  return out;
}

inline std::vector<float> RandomFloats(size_t n, uint64_t seed,
                                       float sigma = 1.0F) {
  std::mt19937_64 random(seed);
  std::normal_distribution<float> any(0, sigma);
  std::vector<float> out(n);
  for (float& x : out) x = any(random);
  return out;
}
inline std::vector<int8_t> RandomInt8s(size_t n, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::uniform_int_distribution<int> any(-128, 127);
  std::vector<int8_t> out(n);
  for (int8_t& x : out) x = static_cast<int8_t>(any(random));
  return out;
}

// Where element (row, col) of a matrix of `cols` columns stands in blocks of
// r x c, themselves row-major.
inline size_t Blocked(int row, int col, int cols, int r, int c) {
  return static_cast<size_t>(((row / r) * (cols / c) + col / c) * r * c +
                             row % r * c + col % c);
}
// A weight matrix stands as [n/c][k/8][8][c].
inline size_t BlockedWeight(int k, int n, int ks, int c) {
  return static_cast<size_t>(((n / c) * (ks / 8) + k / 8) * 8 * c + k % 8 * c +
                             n % c);
}
template <typename T>
std::vector<T> ToBlocks(const std::vector<T>& x, int rows, int cols) {
  std::vector<T> out(x.size());
  for (int i = 0; i < rows; ++i) {
    for (int j = 0; j < cols; ++j) {
      out[Blocked(i, j, cols, 4, 8)] = x[static_cast<size_t>(i * cols + j)];
    }
  }
  return out;
}
template <typename T>
std::vector<T> FromBlocks(const std::vector<T>& x, int rows, int cols) {
  std::vector<T> out(x.size());
  for (int i = 0; i < rows; ++i) {
    for (int j = 0; j < cols; ++j) {
      out[static_cast<size_t>(i * cols + j)] = x[Blocked(i, j, cols, 4, 8)];
    }
  }
  return out;
}

inline double ExactGelu(double x) {
  return 0.5 * x * std::erfc(-x * M_SQRT1_2);
}

struct Agreement {
  double cosine = 0;
  double relative_rms = 0;
};
inline Agreement Agree(const std::vector<double>& got,
                       const std::vector<double>& want) {
  double gg = 0, ww = 0, gw = 0, dd = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    gg += got[i] * got[i];
    ww += want[i] * want[i];
    gw += got[i] * want[i];
    dd += (got[i] - want[i]) * (got[i] - want[i]);
  }
  return {gw / std::sqrt(gg * ww), std::sqrt(dd / ww)};
}

}  // namespace sotto::npu
