// SPDX-License-Identifier: MIT
#include "compile/program_cache.h"

#include <tuple>

#include "base/error.h"

namespace sotto {
namespace {

auto Tie(const ProgramKey& k) {
  return std::tie(k.stage, k.shape.batch, k.shape.tokens, k.shape.kv_extent,
                  k.shape.logit_rows, k.shape.slots, k.shape.frames);
}

}  // namespace

bool operator<(const ProgramKey& a, const ProgramKey& b) {
  return Tie(a) < Tie(b);
}

ProgramCache::ProgramCache(Build build, BucketLadder ladder, int capacity)
    : build_(std::move(build)),
      ladder_(std::move(ladder)),
      capacity_(static_cast<size_t>(capacity)) {}

int64_t ProgramCache::ExtentFor(int64_t past) const {
  const auto bucket = ladder_.Find(past);
  if (!bucket)
    Fail(ErrorCode::kBadInput, "position {} is outside the decode buckets 0..{}",
         past, ladder_.buckets().back().end - 1);
  return ladder_.buckets()[*bucket].extent;
}

std::shared_ptr<const Program> ProgramCache::Get(Stage stage,
                                                 StageShape shape) {
  if (stage == Stage::kDecode)
    // Room for the past and the token itself.
    shape.kv_extent = static_cast<int>(ExtentFor(shape.kv_extent));
  const ProgramKey key{stage, shape};
  CacheCounters& counters = counters_[static_cast<size_t>(stage)];
  std::unique_lock lock(mutex_);
  for (;;) {
    const auto it = index_.find(key);
    if (it == index_.end()) break;
    if (it->second->program != nullptr) {
      ++counters.hits;
      entries_.splice(entries_.begin(), entries_, it->second);
      return it->second->program;
    }
    built_.wait(lock);
  }
  entries_.push_front({key, nullptr});
  const auto entry = entries_.begin();
  index_[key] = entry;
  ++counters.builds;
  lock.unlock();
  std::shared_ptr<const Program> program;
  try {
    program = build_(key);
  } catch (...) {
    lock.lock();
    index_.erase(key);
    entries_.erase(entry);
    --counters.builds;
    built_.notify_all();
    throw;
  }
  lock.lock();
  entry->program = program;
  Evict(stage);
  built_.notify_all();
  return program;
}

void ProgramCache::Evict(Stage stage) {
  size_t kept = 0;
  for (auto it = entries_.begin(); it != entries_.end();) {
    if (it->key.stage != stage || it->program == nullptr ||
        ++kept <= capacity_) {
      ++it;
      continue;
    }
    ++counters_[static_cast<size_t>(stage)].evictions;
    index_.erase(it->key);
    it = entries_.erase(it);
  }
}

void ProgramCache::Warmup(int batch, int64_t max_past) {
  for (const Bucket& bucket : ladder_.buckets()) {
    if (bucket.begin > max_past) break;
    Get(Stage::kDecode,
        {.batch = batch, .kv_extent = static_cast<int>(bucket.begin)});
  }
}

CacheCounters ProgramCache::counters(Stage stage) const {
  const std::lock_guard lock(mutex_);
  return counters_[static_cast<size_t>(stage)];
}

size_t ProgramCache::size(Stage stage) const {
  const std::lock_guard lock(mutex_);
  size_t n = 0;
  for (const Entry& entry : entries_) n += entry.key.stage == stage;
  return n;
}

}  // namespace sotto
