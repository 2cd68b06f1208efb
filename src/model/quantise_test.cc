// SPDX-License-Identifier: MIT
#include "model/quantise.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "model/dequantise.h"
#include "tensor/half.h"

namespace sotto {
namespace {

struct Golden {
  DType dtype;
  uint64_t values_hash;
  uint64_t blocks_hash;  // 0 where the source does not quantise
  float first[8];
  std::string_view blocks;
};

constexpr Golden kGolden[] = {
#include "model/block_golden.inc"
};

uint64_t Fnv(const void* data, size_t bytes) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (size_t i = 0; i < bytes; ++i)
    hash = (hash ^ static_cast<const uint8_t*>(data)[i]) * 0x100000001b3u;
  return hash;
}

std::vector<std::byte> FromHex(std::string_view hex) {
  const auto digit = [](char c) {
    return static_cast<unsigned>(c <= '9' ? c - '0' : c - 'a' + 10);
  };
  std::vector<std::byte> out;
  for (size_t i = 0; i + 1 < hex.size(); i += 2)
    out.push_back(
        static_cast<std::byte>(digit(hex[i]) * 16 + digit(hex[i + 1])));
  return out;
}

// As make_block_golden.py makes them.
std::vector<float> GoldenSource() {
  std::vector<float> out;
  uint64_t state = 12345;
  for (int i = 0; i < 512; ++i) {
    state = (state * 1103515245u + 12345u) & 0x7fffffffu;
    const int value = static_cast<int>((state >> 8) % 20001u) - 10000;
    out.push_back(static_cast<float>(value * (1 + i / 64)) / 65536);
  }
  return out;
}

std::vector<float> Normal(size_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0.0f, 0.05f);
  std::vector<float> out(count);
  for (float& value : out) value = normal(random);
  return out;
}

std::vector<float> RoundTrip(DType dtype, const std::vector<float>& values) {
  std::vector<std::byte> blocks(BytesOf(dtype, values.size()));
  Quantise(dtype, values.data(), values.size(), blocks.data());
  std::vector<float> out(values.size());
  Dequantise(dtype, blocks.data(), out.size(), out.data());
  return out;
}

double RelativeError(const std::vector<float>& got,
                     const std::vector<float>& want) {
  double miss = 0, all = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    miss += std::pow(got[i] - want[i], 2);
    all += std::pow(want[i], 2);
  }
  return std::sqrt(miss / all);
}

class Blocks : public testing::TestWithParam<Golden> {};

TEST_P(Blocks, DequantiseAsGgmlDoes) {
  const Golden& golden = GetParam();
  // An odd address: files align nothing.
  std::vector<std::byte> bytes = FromHex(golden.blocks);
  bytes.insert(bytes.begin(), std::byte{0});
  const size_t count = (bytes.size() - 1) / Info(golden.dtype).block_bytes *
                       Info(golden.dtype).block_elements;
  std::vector<float> values(count);
  Dequantise(golden.dtype, bytes.data() + 1, count, values.data());
  for (size_t i = 0; i < 8; ++i) EXPECT_EQ(values[i], golden.first[i]) << i;
  EXPECT_EQ(Fnv(values.data(), 4 * count), golden.values_hash);
}

TEST_P(Blocks, QuantiseAsGgmlDoes) {
  const Golden& golden = GetParam();
  if (golden.blocks_hash == 0)
    GTEST_SKIP() << Name(golden.dtype) << " is not defined to the bit";
  const auto source = GoldenSource();
  std::vector<std::byte> blocks(BytesOf(golden.dtype, source.size()));
  Quantise(golden.dtype, source.data(), source.size(), blocks.data());
  EXPECT_EQ(Fnv(blocks.data(), blocks.size()), golden.blocks_hash);
}

// b bits over +-3 deviations leave an error of about 6 / 2^b / sqrt(12)
// deviations; the searched K scales must not be worse.
TEST_P(Blocks, KeepTheErrorOfTheirBits) {
  const DType dtype = GetParam().dtype;
  const int bits = Name(dtype)[1] - '0';
  const auto values = Normal(256 * 64, 3);
  EXPECT_LT(RelativeError(RoundTrip(dtype, values), values),
            6 / std::pow(2, bits) / std::sqrt(12) * 0.9);
}

TEST_P(Blocks, SurviveZerosConstantsAndSpikes) {
  const DType dtype = GetParam().dtype;
  std::vector<float> values(512, 0.0f);
  EXPECT_EQ(RoundTrip(dtype, values), values);
  for (size_t i = 256; i < 512; ++i) values[i] = 0.75f;
  EXPECT_LT(RelativeError(RoundTrip(dtype, values), values), 0.05);
  values[5] = -8;  // among zeros
  EXPECT_NEAR(RoundTrip(dtype, values)[5], -8, 0.01);
  for (const float bad : {INFINITY, NAN, 1e30f}) {
    values[7] = bad;
    RoundTrip(dtype, values);  // whatever it gives, it gives
  }
}

INSTANTIATE_TEST_SUITE_P(All, Blocks, testing::ValuesIn(kGolden),
                         [](const auto& test) {
                           return std::string(Name(test.param.dtype));
                         });

TEST(Halves, ConvertAllBitPatternsAtAnyAddress) {
  std::vector<std::byte> bytes(2 * 65536 + 1);
  for (uint32_t i = 0; i < 65536; ++i) {
    const auto bits = static_cast<uint16_t>(i);
    std::memcpy(bytes.data() + 1 + 2 * i, &bits, 2);
  }
  std::vector<float> half(65536), brain(65536);
  Dequantise(DType::kF16, bytes.data() + 1, half.size(), half.data());
  Dequantise(DType::kBF16, bytes.data() + 1, brain.size(), brain.data());
  for (uint32_t i = 0; i < 65536; ++i) {
    const auto bits = static_cast<uint16_t>(i);
    const float want = ToFloat(F16{bits});
    if (std::isnan(want)) {
      EXPECT_TRUE(std::isnan(half[i]));
    } else {
      ASSERT_EQ(std::bit_cast<uint32_t>(half[i]),
                std::bit_cast<uint32_t>(want));
    }
    ASSERT_EQ(std::bit_cast<uint32_t>(brain[i]), i << 16);
  }
}

TEST(Int8, RowsKeepTheirLargestMagnitude) {
  const auto values = Normal(999, 5);
  std::vector<int8_t> integers(values.size());
  const float scale =
      QuantiseRowInt8(values.data(), values.size(), integers.data());
  int most = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    most = std::max(most, std::abs(integers[i]));
    EXPECT_NEAR(static_cast<float>(integers[i]) / scale, values[i],
                0.5001f / scale);
  }
  EXPECT_EQ(most, 127);
  const std::vector<float> zeros(7, 0.0f);
  EXPECT_EQ(QuantiseRowInt8(zeros.data(), 7, integers.data()), 1.0f);
}

}  // namespace
}  // namespace sotto
