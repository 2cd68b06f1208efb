// SPDX-License-Identifier: MIT
#include "compile/buckets.h"

#include <algorithm>

#include "base/error.h"

namespace sotto {

BucketLadder::BucketLadder(std::vector<Bucket> buckets)
    : buckets_(std::move(buckets)) {
  if (buckets_.empty())
    Fail(ErrorCode::kBadInput, "bucket ladder: no buckets, want at least one");
  int64_t at = buckets_.front().begin;
  for (const Bucket& bucket : buckets_) {
    if (bucket.begin >= bucket.end)
      Fail(ErrorCode::kBadInput, "bucket ladder: range {}..{} is empty",
           bucket.begin, bucket.end);
    if (bucket.begin < at)
      Fail(ErrorCode::kBadInput,
           "bucket ladder: range {}..{} overlaps the one before it",
           bucket.begin, bucket.end);
    at = bucket.end;
  }
}

BucketLadder BucketLadder::PowersOfTwo(int64_t max_past, int64_t clamp) {
  std::vector<Bucket> buckets = {{0, 2, 1}};
  for (int64_t extent = 4;; extent *= 2) {
    const int64_t begin = buckets.back().end;
    buckets.push_back({begin, extent + 1, extent});
    if (extent >= max_past) break;
  }
  if (clamp > 0)
    for (Bucket& bucket : buckets)
      bucket.extent = std::min(bucket.extent, clamp);
  return BucketLadder(std::move(buckets));
}

std::optional<size_t> BucketLadder::Find(int64_t past) const {
  for (size_t i = 0; i < buckets_.size(); ++i)
    if (past >= buckets_[i].begin && past < buckets_[i].end) return i;
  return std::nullopt;
}

}  // namespace sotto
