// SPDX-License-Identifier: MIT
#include "compile/program_cache.h"

#include <algorithm>

namespace sotto {
namespace {

size_t Index(Stage stage) { return static_cast<size_t>(stage); }

uint64_t Mix(uint64_t hash, uint64_t value) {
  hash = (hash ^ value) * 0x9e3779b97f4a7c15ull;
  return hash ^ hash >> 32;
}

}  // namespace

size_t ProgramKeyHash::operator()(const ProgramKey& key) const {
  uint64_t hash = key.plan;
  for (const int value :
       {static_cast<int>(key.stage), key.shape.batch, key.shape.tokens,
        key.shape.kv_extent, key.shape.logit_rows, key.shape.slots,
        key.shape.frames, static_cast<int>(key.precision),
        static_cast<int>(key.kv)})
    hash = Mix(hash, static_cast<uint64_t>(value));
  return Mix(hash, std::hash<std::string>()(key.device));
}

BucketLadder LadderOf(const Profile& profile, int n_text_ctx) {
  if (!profile.buckets.empty()) return BucketLadder::Of(profile.buckets);
  const int max_past = profile.max_past > 0
                           ? std::min(profile.max_past, n_text_ctx)
                           : n_text_ctx;
  return BucketLadder::PowersOfTwo(max_past,
                                   profile.clamp_last_bucket ? max_past : 0);
}

ProgramCache::ProgramCache(Build build, const Profile& profile, int n_text_ctx)
    : build_(std::move(build)),
      n_text_ctx_(n_text_ctx),
      ladder_(LadderOf(profile, n_text_ctx)),
      device_(profile.device),
      kv_(profile.KvDType()) {
  for (const Stage stage : kStages) {
    plans_[Index(stage)] = profile.PlanHash(stage);
    precisions_[Index(stage)] = profile.Of(stage).precision;
    caches_[Index(stage)] = std::make_unique<Cache>(
        static_cast<size_t>(profile.cache_capacity.Of(stage)));
  }
}

ProgramKey ProgramCache::KeyOf(Stage stage, const StageShape& shape) const {
  ProgramKey key{.stage = stage,
                 .shape = shape,
                 .plan = plans_[Index(stage)],
                 .precision = precisions_[Index(stage)],
                 .kv = kv_,
                 .device = device_};
  if (stage != Stage::kDecode) return key;
  const int past = shape.kv_extent;
  if (past < 0 || past + shape.tokens > n_text_ctx_)
    Fail(ErrorCode::kBadInput, "decode at position {} passes the last of {}",
         past, n_text_ctx_);
  const std::optional<size_t> bucket = ladder_.BucketFor(past);
  if (!bucket)
    Fail(ErrorCode::kBadInput, "a past of {} is outside the decode buckets {}",
         past, ladder_.ToString());
  // A bucket counts the past; the new token is one more.
  key.shape.kv_extent = static_cast<int>(std::min<int64_t>(
      ladder_.buckets()[*bucket].extent + shape.tokens, n_text_ctx_));
  return key;
}

std::shared_ptr<const Program> ProgramCache::Get(Stage stage,
                                                 const StageShape& shape) {
  const ProgramKey key = KeyOf(stage, shape);
  return caches_[Index(stage)]->Get(key, [&] { return build_(key); });
}

void ProgramCache::Warmup(int batch, int max_past, StageShape like) {
  like.batch = batch;
  like.slots = std::max(like.slots, batch);
  like.tokens = 1;
  for (const Bucket& bucket : ladder_.buckets()) {
    if (bucket.begin > max_past || bucket.begin >= n_text_ctx_) break;
    like.kv_extent = static_cast<int>(bucket.begin);
    Get(Stage::kDecode, like);
  }
}

CacheStats ProgramCache::counters(Stage stage) const {
  return caches_[Index(stage)]->stats();
}

size_t ProgramCache::size(Stage stage) const {
  return caches_[Index(stage)]->size();
}

std::string ProgramCache::ToString() const {
  std::string text;
  for (const Stage stage : kStages) {
    const CacheStats s = counters(stage);
    text += fmt::format("{}: {} built, {} hits, {} evicted\n", StageName(stage),
                        s.builds, s.hits, s.evictions);
  }
  return text;
}

}  // namespace sotto
