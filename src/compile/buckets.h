// SPDX-License-Identifier: MIT
// The decode bucket ladder: which extent serves which number of past
// positions. A shape policy only: every bucket gives the same bits.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace sotto {

// Past positions [begin, end) run at `extent` positions.
struct Bucket {
  int64_t begin = 0;
  int64_t end = 0;
  int64_t extent = 0;
  friend bool operator==(const Bucket&, const Bucket&) = default;
};

// Ascending, disjoint ranges.
class BucketLadder {
 public:
  // Throws kBadInput for an empty list, an empty range or an overlap.
  explicit BucketLadder(std::vector<Bucket> buckets);
  // 0..2, 2..5, 5..9, 9..17, ... up to `max_past`: after the first, extents are
  // powers of two. Where `clamp` > 0 no extent is above it.
  static BucketLadder PowersOfTwo(int64_t max_past, int64_t clamp = 0);

  // Index of the bucket for `past`; nothing outside all ranges.
  std::optional<size_t> Find(int64_t past) const;
  const std::vector<Bucket>& buckets() const { return buckets_; }
  size_t size() const { return buckets_.size(); }

 private:
  std::vector<Bucket> buckets_;
};

// (batch << 32) | seq: the requirement's key for prefill and decode programs.
// Sotto's own cache is keyed by structs.
constexpr uint64_t DecodeCacheKey(uint32_t batch, uint32_t seq) {
  return (uint64_t{batch} << 32) | seq;
}

}  // namespace sotto
