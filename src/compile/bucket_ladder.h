// SPDX-License-Identifier: MIT
// BucketLadder: which lengths of the past share a decode program. A bucket is
// a shape policy: kernels take the length as it is while they run, so every
// bucket gives the same bits.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace sotto {

// Past lengths [begin, end) run in a program for `extent` past positions.
struct Bucket {
  int64_t begin = 0;
  int64_t end = 0;
  int64_t extent = 0;
  friend bool operator==(const Bucket&, const Bucket&) = default;
};

class BucketLadder {
 public:
  // Throws kBadInput for no bucket, an empty or negative one, an extent too
  // small for its lengths, and buckets that overlap or do not ascend. Gaps are
  // allowed.
  explicit BucketLadder(std::vector<Bucket> buckets);
  // [0,1], [2,4], [5,8], [9,16], ...: each ends at a power of two that is its
  // extent, the last covers `max_past`. `clamp` > 0: the last ends there.
  static BucketLadder PowersOfTwo(int64_t max_past, int64_t clamp = 0);
  // One bucket for each extent, from behind the one before it.
  static BucketLadder Of(std::span<const int> extents);

  // Index of the bucket for so long a past; nothing outside of all.
  std::optional<size_t> BucketFor(int64_t past) const;
  const std::vector<Bucket>& buckets() const { return buckets_; }
  size_t size() const { return buckets_.size(); }
  // Attention rows a program of fixed extents would compute over the rows
  // there are, for pasts [first, last]: 1.42 for 4..443. Ours compute 1.0.
  double Waste(int64_t first, int64_t last) const;
  std::string ToString() const;

 private:
  std::vector<Bucket> buckets_;
};

}  // namespace sotto
