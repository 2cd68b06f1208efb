// SPDX-License-Identifier: MIT
#include "cpu/pack.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cpu/ref/access.h"
#include "cpu/test_util.h"

namespace sotto::cpu {
namespace {

// Element (n, k) of the matrix that `parts` describe, straight from the source.
float Expected(const ArrayReader& reader,
               const std::vector<ir::WeightPart>& parts, int64_t k_size,
               int64_t taps, int64_t n, int64_t k) {
  for (const ir::WeightPart& part : parts) {
    if (n >= part.rows) {
      n -= part.rows;
      continue;
    }
    if (part.name.empty()) return 0;
    const int64_t channels = k_size / taps;
    const int64_t at = n * k_size + k % channels * taps + k / channels;
    return reader.arrays.at(part.name)[static_cast<size_t>(at)];
  }
  return 0;
}

void CheckPacked(int threads, DType type, int64_t k, int64_t taps) {
  ThreadPool pool(threads);
  ArrayReader reader;
  reader.Add("a", 19 * k, 1);
  reader.Add("b", 16 * k, 2);
  const std::vector<ir::WeightPart> parts = {{"a", 19}, {"", 5}, {"b", 16}};
  PackedWeights packed(&pool);
  const std::byte* data = packed.Matrix({parts, 40, k, taps}, type, reader);
  const int64_t padded = PaddedK(type, k);
  for (int64_t n = 0; n < RoundUp(40, kPanel); ++n) {
    for (int64_t i = 0; i < padded; ++i) {
      const float want = i < k ? Expected(reader, parts, k, taps, n, i) : 0.0f;
      float rounded = want;
      if (type == DType::kBF16) rounded = ToFloat(ToBF16(want));
      if (type == DType::kF16) rounded = ToFloat(ToF16(want));
      ASSERT_EQ(LoadElement(data, type, PackedIndex(type, padded, n, i)),
                rounded)
          << Name(type) << " n=" << n << " k=" << i;
    }
  }
  EXPECT_EQ(packed.packed_bytes(),
            BytesOf(type, static_cast<size_t>(PackedElements(type, 40, k))));
}

TEST(PackedWeights, PutsEveryElementWhereKernelsReadIt) {
  for (const int threads : {1, 2, 3})
    for (const DType type : {DType::kF32, DType::kF16, DType::kBF16})
      for (const int64_t k : {1, 7, 32, 45}) CheckPacked(threads, type, k, 1);
}

TEST(PackedWeights, PutsConvolutionsInTapOrder) {
  for (const DType type : {DType::kF32, DType::kF16, DType::kBF16})
    for (const int64_t k : {3, 21, 96}) CheckPacked(2, type, k, 3);
}

TEST(PackedWeights, PacksOnceForAllPrograms) {
  ThreadPool pool(2);
  ArrayReader reader;
  reader.Add("a", 64 * 33, 1);
  const std::vector<ir::WeightPart> parts = {{"a", 64}};
  PackedWeights packed(&pool);
  const std::byte* first =
      packed.Matrix({parts, 64, 33, 1}, DType::kF32, reader);
  const size_t copied = packed.bytes_copied();
  EXPECT_EQ(packed.Matrix({parts, 64, 33, 1}, DType::kF32, reader), first);
  EXPECT_EQ(packed.bytes_copied(), copied);
  EXPECT_NE(packed.Matrix({parts, 64, 33, 1}, DType::kBF16, reader), first);
  EXPECT_GT(packed.bytes_copied(), copied);
  EXPECT_EQ(packed.bytes_copied(), packed.packed_bytes());
}

TEST(PackedWeights, GivesSourcePagesBackAsItGoes) {
  ThreadPool pool(1);
  ArrayReader reader;
  reader.Add("big", int64_t{4096} * 1024, 1);
  const std::vector<ir::WeightPart> parts = {{"big", 4096}};
  PackedWeights packed(&pool);
  packed.Matrix({parts, 4096, 1024, 1}, DType::kBF16, reader);
  EXPECT_GE(reader.releases, 4);  // 16 MB of f32
}

TEST(PackedWeights, KeepsPlainWeightsInOrder) {
  ThreadPool pool(1);
  ArrayReader reader;
  reader.Add("a", 6, 1);
  reader.Add("b", 4, 2);
  const std::vector<ir::WeightPart> parts = {{"a", 3}, {"", 1}, {"b", 2}};
  PackedWeights packed(&pool);
  const float* data = packed.Plain(parts, 2, reader);
  const std::vector<float>& a = reader.arrays.at("a");
  const std::vector<float>& b = reader.arrays.at("b");
  EXPECT_THAT(std::vector<float>(data, data + 12),
              ::testing::ElementsAre(a[0], a[1], a[2], a[3], a[4], a[5], 0, 0,
                                     b[0], b[1], b[2], b[3]));
}

TEST(PackedWeights, PassesOnWhatTheReaderThrows) {
  ThreadPool pool(2);
  const ArrayReader reader;
  const std::vector<ir::WeightPart> parts = {{"missing", 40}};
  PackedWeights packed(&pool);
  EXPECT_THROW(packed.Matrix({parts, 40, 8, 1}, DType::kF32, reader),
               std::out_of_range);
}

}  // namespace
}  // namespace sotto::cpu
