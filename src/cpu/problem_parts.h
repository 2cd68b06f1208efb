// SPDX-License-Identifier: MIT
// What the makers of random problems share (problems.h). Not for others.
#pragma once

#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "cpu/problems.h"
#include "cpu/test_util.h"

namespace sotto::cpu {

// Half a unit of the last place of f32: one rounding.
inline constexpr float kUnit = 0x1p-24f;
inline constexpr std::byte kPoison{0xcd};

// What rounding to the output's type may add, per unit of the value: half a
// place in the reference and half a place in the kernel.
inline float OutputError(DType type) {
  return type == DType::kF32   ? 2 * kUnit
         : type == DType::kF16 ? 0x1p-10f
                               : 0x1p-7f;
}

// Inputs with gaps between rows that hold NaN.
inline Buffer InputRows(DType type, int64_t rows, int64_t width, int64_t stride,
                        uint32_t seed, float scale = 1) {
  const std::vector<float> values = RandomValues(rows * width, seed, scale);
  Buffer buffer(BytesOf(type, static_cast<size_t>(rows * stride)) + 1);
  for (int64_t i = 0; i < rows * stride; ++i)
    StoreElement(buffer.data(), type, i, std::nanf(""));
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t i = 0; i < width; ++i)
      StoreElement(buffer.data(), type, r * stride + i,
                   values[static_cast<size_t>(r * width + i)]);
  return buffer;
}

inline Buffer Absolute(const Buffer& from, DType type, int64_t count) {
  Buffer to(BytesOf(type, static_cast<size_t>(count)) + 1);
  for (int64_t i = 0; i < count; ++i)
    StoreElement(to.data(), type, i,
                 std::abs(LoadElement(from.data(), type, i)));
  return to;
}

template <typename Args>
void RunRow(const KernelRow& row, const CpuFeatures& features, ThreadPool& pool,
            const Args& args) {
  // note: exactly what the kernel asked for, so that sanitizers see a byte too
  // many.
  const size_t bytes = row.Scratch(args, pool.threads());
  const Buffer scratch(bytes);
  // NaN in every type.
  if (bytes > 0) std::memset(scratch.data(), 0xff, bytes);
  row.Function<Args>(features)(args, Context{&pool, scratch.data()});
}

inline std::string TypesText(DType x, DType w, DType y) {
  return fmt::format("{},{}->{}", Name(x), Name(w), Name(y));
}

}  // namespace sotto::cpu
