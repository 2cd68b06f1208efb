// SPDX-License-Identifier: MIT
#include "compile/bucket_ladder.h"

#include <algorithm>

#include "base/error.h"

namespace sotto {

BucketLadder::BucketLadder(std::vector<Bucket> buckets)
    : buckets_(std::move(buckets)) {
  if (buckets_.empty())
    Fail(ErrorCode::kBadInput, "bucket ladder: no buckets, want one at least");
  for (size_t i = 0; i < buckets_.size(); ++i) {
    const Bucket& bucket = buckets_[i];
    if (bucket.begin < 0 || bucket.end <= bucket.begin)
      Fail(ErrorCode::kBadInput, "bucket ladder: [{}, {}) is empty",
           bucket.begin, bucket.end);
    if (bucket.extent < 1 || bucket.extent < bucket.end - 1)
      Fail(ErrorCode::kBadInput,
           "bucket ladder: [{}, {}) has the extent {}, want {} or more",
           bucket.begin, bucket.end, bucket.extent, bucket.end - 1);
    if (i > 0 && bucket.begin < buckets_[i - 1].end)
      Fail(ErrorCode::kBadInput, "bucket ladder: [{}, {}) and [{}, {}) overlap",
           buckets_[i - 1].begin, buckets_[i - 1].end, bucket.begin,
           bucket.end);
  }
}

BucketLadder BucketLadder::PowersOfTwo(int64_t max_past, int64_t clamp) {
  if (max_past < 0 || max_past > (int64_t{1} << 40))
    Fail(ErrorCode::kBadInput, "bucket ladder: max_past is {}", max_past);
  // An empty past shares its program with a past of one.
  std::vector<Bucket> buckets = {{0, 2, 1}};
  int64_t extent = 4;
  do {
    buckets.push_back({buckets.back().end, extent + 1, extent});
    extent *= 2;
  } while (buckets.back().end <= max_past);
  if (clamp > 0) {
    while (buckets.size() > 1 && buckets.back().begin > clamp)
      buckets.pop_back();
    Bucket& last = buckets.back();
    last.end = std::min(last.end, clamp + 1);
    last.extent = std::min(last.extent, std::max<int64_t>(clamp, 1));
  }
  return BucketLadder(std::move(buckets));
}

BucketLadder BucketLadder::Of(std::span<const int> extents) {
  std::vector<Bucket> buckets;
  int64_t begin = 0;
  for (const int extent : extents) {
    buckets.push_back({begin, int64_t{extent} + 1, extent});
    begin = int64_t{extent} + 1;
  }
  return BucketLadder(std::move(buckets));
}

std::optional<size_t> BucketLadder::BucketFor(int64_t past) const {
  const auto behind = std::upper_bound(
      buckets_.begin(), buckets_.end(), past,
      [](int64_t value, const Bucket& bucket) { return value < bucket.end; });
  if (behind == buckets_.end() || past < behind->begin) return std::nullopt;
  return static_cast<size_t>(behind - buckets_.begin());
}

double BucketLadder::Waste(int64_t first, int64_t last) const {
  double computed = 0, needed = 0;
  for (int64_t past = first; past <= last; ++past) {
    const auto bucket = BucketFor(past);
    if (!bucket) continue;
    computed += static_cast<double>(buckets_[*bucket].extent + 1);
    needed += static_cast<double>(past + 1);
  }
  return needed > 0 ? computed / needed : 1;
}

std::string BucketLadder::ToString() const {
  std::string text;
  for (const Bucket& bucket : buckets_)
    text += fmt::format("{}[{},{}]->{}", text.empty() ? "" : " ", bucket.begin,
                        bucket.end - 1, bucket.extent);
  return text;
}

}  // namespace sotto
