// SPDX-License-Identifier: MIT
// What the tests of model/ share: folders, real files, errors as text.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "base/test_folder.h"
#include "model/weights.h"

namespace sotto {

inline std::filesystem::path TestData(const std::string& name) {
  const char* root = std::getenv("SOTTO_TEST_DATA");
  return root == nullptr ? std::filesystem::path()
                         : std::filesystem::path(root) / name;
}

inline std::filesystem::path TestModel(const std::string& name) {
  const char* root = std::getenv("SOTTO_MODELS");
  return (root != nullptr ? std::filesystem::path(root)
                          : HomeDirectory() / ".cache/sotto/models") /
         name;
}

// The error's text, or "no error".
template <typename Function>
std::string ErrorFrom(Function function) {
  try {
    function();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

inline std::string LoadError(const std::filesystem::path& path,
                             bool encoder_only = false) {
  return ErrorFrom([&] { WeightStore::Load(path, encoder_only); });
}

inline std::vector<float> AllValues(const WeightStore& store,
                                    std::string_view name) {
  const int64_t n = store.Get(name).tensor.Elements();
  std::vector<float> values(static_cast<size_t>(n));
  store.Read(name, 0, n, values.data());
  return values;
}

// Bits, not values: -0 and NaN count.
inline void ExpectSameBits(const WeightStore& a, const WeightStore& b,
                           std::string_view name) {
  const auto x = AllValues(a, name), y = AllValues(b, name);
  ASSERT_EQ(x.size(), y.size()) << name;
  EXPECT_EQ(0, std::memcmp(x.data(), y.data(), sizeof(float) * x.size()))
      << name << " of " << b.path();
}

inline void ExpectSameModel(const WeightStore& a, const WeightStore& b) {
  ASSERT_EQ(a.entries().size(), b.entries().size());
  for (const auto& [name, entry] : a.entries()) ExpectSameBits(a, b, name);
}

}  // namespace sotto
