// SPDX-License-Identifier: MIT
// rlx.md section 6, rows 2-4.
#include "compile/bucket_ladder.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>

#include "base/error.h"
#include "compile/program_cache.h"

namespace sotto {
namespace {

TEST(Rlx, Row02BucketLadderOf448) {
  const std::vector<Bucket> want = {
      {0, 2, 1},      {2, 5, 4},       {5, 9, 8},
      {9, 17, 16},    {17, 33, 32},    {33, 65, 64},
      {65, 129, 128}, {129, 257, 256}, {257, 513, 512}};
  EXPECT_EQ(BucketLadder::PowersOfTwo(448).buckets(), want);
}

TEST(Rlx, Row02BucketLadderCounts) {
  const std::pair<int, size_t> counts[] = {
      {0, 2},  {1, 2},   {2, 2},   {4, 2},   {5, 3},   {8, 3},    {16, 4},
      {64, 6}, {224, 8}, {447, 9}, {448, 9}, {512, 9}, {513, 10}, {1500, 11}};
  for (const auto& [max_past, count] : counts)
    EXPECT_EQ(BucketLadder::PowersOfTwo(max_past).size(), count) << max_past;
}

TEST(Rlx, Row02BucketLadderProperties) {
  for (int64_t max_past = 1; max_past <= 4096; ++max_past) {
    const BucketLadder ladder = BucketLadder::PowersOfTwo(max_past);
    const std::vector<Bucket>& buckets = ladder.buckets();
    ASSERT_EQ(buckets[0], (Bucket{0, 2, 1}));
    for (size_t i = 1; i < buckets.size(); ++i) {
      ASSERT_EQ(buckets[i].begin, buckets[i - 1].end);
      ASSERT_EQ(buckets[i].extent, buckets[i].end - 1);
      ASSERT_TRUE(
          std::has_single_bit(static_cast<uint64_t>(buckets[i].extent)));
    }
    ASSERT_GT(buckets.back().end, max_past);
    const double most =
        2 +
        std::ceil(std::log2(std::max(1.0, static_cast<double>(max_past) / 4)));
    ASSERT_LE(static_cast<double>(buckets.size()), most) << max_past;
  }
}

TEST(Rlx, Row02BucketLadderClamps) {
  const BucketLadder clamped = BucketLadder::PowersOfTwo(448, 448);
  const BucketLadder free = BucketLadder::PowersOfTwo(448);
  ASSERT_EQ(clamped.size(), free.size());
  for (size_t i = 0; i + 1 < free.size(); ++i)
    EXPECT_EQ(clamped.buckets()[i], free.buckets()[i]);
  EXPECT_EQ(clamped.buckets().back(), (Bucket{257, 449, 448}));
  // What a padded program would compute; kernels that take the length while
  // they run compute each row once (the extent only bounds them).
  EXPECT_NEAR(free.Waste(4, 443), 1.42, 0.01);
  EXPECT_LT(clamped.Waste(4, 443), free.Waste(4, 443));
}

TEST(Rlx, Row03BucketFor) {
  const BucketLadder ladder = BucketLadder::PowersOfTwo(448);
  for (const int past : {0, 1, 200}) EXPECT_TRUE(ladder.BucketFor(past));
  EXPECT_LE(ladder.size(), 12u);
  EXPECT_EQ(ladder.BucketFor(0), ladder.BucketFor(1));
  EXPECT_EQ(ladder.BucketFor(5), ladder.BucketFor(8));
  for (const int edge : {4, 8, 16, 32, 64, 128, 256})
    EXPECT_NE(ladder.BucketFor(edge), ladder.BucketFor(edge + 1)) << edge;
  EXPECT_FALSE(ladder.BucketFor(513));
  EXPECT_FALSE(ladder.BucketFor(-1));
}

TEST(Rlx, Row04LaddersThatCannotBe) {
  const auto why = [](std::vector<Bucket> buckets) -> std::string {
    try {
      const BucketLadder ladder(std::move(buckets));
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kBadInput);
      return error.what();
    }
    return "";
  };
  EXPECT_EQ(why({}), "bucket ladder: no buckets, want one at least");
  EXPECT_EQ(why({{2, 2, 2}}), "bucket ladder: [2, 2) is empty");
  EXPECT_EQ(why({{0, 5, 4}, {4, 9, 8}}),
            "bucket ladder: [0, 5) and [4, 9) overlap");
  EXPECT_NE(why({{5, 9, 8}, {0, 5, 4}}), "");
  EXPECT_NE(why({{0, 9, 4}}), "");
  EXPECT_EQ(why({{0, 2, 1}, {5, 9, 8}}), "");  // gaps are allowed
}

TEST(Rlx, Row04BucketedCacheBuildsOnDemand) {
  std::vector<int64_t> uppers;
  BucketedCache<int64_t> cache(BucketLadder::PowersOfTwo(448),
                               [&](int64_t upper) {
                                 uppers.push_back(upper);
                                 return std::make_shared<const int64_t>(upper);
                               });
  EXPECT_EQ(cache.total_buckets(), 9u);
  EXPECT_EQ(cache.stats().builds, 0);
  EXPECT_EQ(*cache.Get(5), 8);
  EXPECT_EQ(*cache.Get(8), 8);
  EXPECT_EQ(*cache.Get(257), 512);
  EXPECT_EQ(uppers, (std::vector<int64_t>{8, 512}));
  EXPECT_EQ(cache.stats().hits, 1);
  EXPECT_THROW(cache.Get(513), Error);
  EXPECT_THROW(cache.Get(-1), Error);
  EXPECT_EQ(cache.built(), 2u);
}

TEST(BucketLadder, TakesExtentsFromAProfile) {
  const int extents[] = {32, 64, 447};
  const BucketLadder ladder = BucketLadder::Of(extents);
  EXPECT_EQ(ladder.ToString(), "[0,32]->32 [33,64]->64 [65,447]->447");
}

}  // namespace
}  // namespace sotto
