// SPDX-License-Identifier: MIT
// What the tests of operators share: small operators, the built libraries,
// tensors over vectors.
#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "ops/registry.h"
#include "ops/tensor.h"
#include "sotto/ops.hpp"

namespace sotto::testing {

inline std::filesystem::path LibraryPath(std::string_view name) {
  return std::filesystem::path(SOTTO_BINARY_DIR) /
         ("lib" + std::string(name) + ".so");
}
inline bool HasLibrary() {
  return std::filesystem::exists(LibraryPath("sotto_cross_attn_ops"));
}

// The text of the Error that `body` throws, "" where it throws none.
template <typename F>
std::string ErrorOf(F&& body, ErrorCode* code = nullptr) {
  try {
    body();
  } catch (const Error& error) {
    if (code != nullptr) *code = error.code();
    return error.what();
  }
  return "";
}

template <typename T>
std::span<const std::byte> Bytes(const std::vector<T>& values) {
  return std::as_bytes(std::span(values));
}

inline sotto_op_tensor F32(std::vector<float>& data,
                           std::vector<int64_t> sizes) {
  return DenseOpTensor(data.data(), SOTTO_OP_F32, sizes);
}

inline std::span<float> Floats(const sotto_op_tensor& t) {
  size_t count = 1;
  for (int i = 0; i < t.rank; ++i) count *= static_cast<size_t>(t.sizes[i]);
  return {static_cast<float*>(t.data), count};
}

// The kernel of `name` for any dtype; must be there.
inline OpKernel KernelOf(const OpRegistry& registry, std::string_view name) {
  for (const OpKernel& kernel : registry.Kernels())
    if (kernel.name == name) return kernel;
  ADD_FAILURE() << name << " is not registered";
  return {};
}

// out = a * x, for dense f32.
inline void Scale(const ops::Tensor& x, double factor, ops::Tensor& out) {
  for (size_t i = 0; i < Floats(x).size(); ++i)
    Floats(out)[i] = static_cast<float>(Floats(x)[i] * factor);
}
// into += x
inline void Accumulate(const ops::Tensor& x, ops::Tensor& into) {
  for (size_t i = 0; i < Floats(x).size(); ++i) Floats(into)[i] += Floats(x)[i];
}
// Refuses negative sums; else nothing.
inline void RequirePositive(const ops::Tensor& x) {
  float sum = 0;
  for (const float value : Floats(x)) sum += value;
  if (sum < 0) throw std::invalid_argument("the sum is negative");
}

inline constexpr sotto_op kTestOps[] = {
    ops::Op<Scale>("test::scale.out"),
    ops::Op<Accumulate>("test::accumulate"),
    ops::Op<RequirePositive>("test::require_positive"),
};

}  // namespace sotto::testing
