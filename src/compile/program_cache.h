// SPDX-License-Identifier: MIT
// ProgramCache: (stage, shape, options, device) -> Program, compiled the first
// time it is asked for.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/error.h"
#include "compile/bucket_ladder.h"
#include "compile/once_cache.h"
#include "compile/profile.h"
#include "model/stages.h"
#include "runtime/program.h"

namespace sotto {

// batch in the high half, sequence length in the low one: no two collide.
constexpr uint64_t DecodeCacheKey(uint32_t batch, uint32_t sequence) {
  return uint64_t{batch} << 32 | sequence;
}

// Everything a program depends on, each in its own field.
struct ProgramKey {
  Stage stage = Stage::kEncoder;
  StageShape shape;
  uint64_t plan = 0;  // Profile::PlanHash(stage)
  Precision precision = Precision::kF32;
  DType kv = DType::kF32;
  std::string device;
  friend bool operator==(const ProgramKey&, const ProgramKey&) = default;
};
struct ProgramKeyHash {
  size_t operator()(const ProgramKey& key) const;
};

// Values by bucket of the past's length, built when a bucket is first asked
// for. Thread-safe.
template <typename Value>
class BucketedCache {
 public:
  // `build` gets the longest past of the bucket.
  using Build = std::function<std::shared_ptr<const Value>(int64_t upper)>;
  BucketedCache(BucketLadder ladder, Build build)
      : ladder_(std::move(ladder)),
        build_(std::move(build)),
        cache_(ladder_.size()) {}

  std::optional<size_t> BucketFor(int64_t past) const {
    return ladder_.BucketFor(past);
  }
  size_t total_buckets() const { return ladder_.size(); }
  size_t built() const { return cache_.size(); }
  CacheStats stats() const { return cache_.stats(); }

  // Throws kBadInput for a past outside of all buckets; builds nothing then.
  std::shared_ptr<const Value> Get(int64_t past) {
    const std::optional<size_t> bucket = BucketFor(past);
    if (!bucket)
      Fail(ErrorCode::kBadInput,
           "a past of {} is outside the decode buckets {}", past,
           ladder_.ToString());
    return cache_.Get(
        *bucket, [&] { return build_(ladder_.buckets()[*bucket].end - 1); });
  }

 private:
  BucketLadder ladder_;
  Build build_;
  OnceCache<size_t, Value> cache_;
};

// Thread-safe; a program is compiled once when many threads ask at once.
class ProgramCache {
 public:
  using Build =
      std::function<std::shared_ptr<const Program>(const ProgramKey&)>;
  // `n_text_ctx`: the model's text positions. `build` gets complete shapes: a
  // decode key's kv_extent already counts the new token and ends at
  // n_text_ctx.
  ProgramCache(Build build, const Profile& profile, int n_text_ctx);

  // decode: `shape.kv_extent` is the length of the past, that is the position
  // of the new token; the ladder chooses the extent. Throws kBadInput where
  // the tokens would pass the last position.
  std::shared_ptr<const Program> Get(Stage stage, const StageShape& shape);
  ProgramKey KeyOf(Stage stage, const StageShape& shape) const;

  // Compiles the decode programs of all buckets up to `max_past`, with the
  // other dimensions of `like`.
  void Warmup(int batch, int max_past, StageShape like = {});

  CacheStats counters(Stage stage) const;
  // Programs held.
  size_t size(Stage stage) const;
  const BucketLadder& ladder() const { return ladder_; }
  // "decode: 8 built, 432 hits, 0 evicted", a line a stage.
  std::string ToString() const;

 private:
  using Cache = OnceCache<ProgramKey, Program, ProgramKeyHash>;

  Build build_;
  int n_text_ctx_;
  BucketLadder ladder_;
  std::string device_;
  DType kv_;
  std::array<uint64_t, 4> plans_;
  std::array<Precision, 4> precisions_;
  std::array<std::unique_ptr<Cache>, 4> caches_;
};

// The ladder that a profile asks for.
BucketLadder LadderOf(const Profile& profile, int n_text_ctx);

}  // namespace sotto
