// SPDX-License-Identifier: MIT
// ProgramCache: programs by stage and shape, built when first asked for.
#pragma once

#include <array>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>

#include "compile/buckets.h"
#include "compile/profile.h"
#include "model/stages.h"
#include "runtime/program.h"

namespace sotto {

// Everything a program depends on, as separate fields: no two can collide.
struct ProgramKey {
  Stage stage = Stage::kEncoder;
  StageShape shape;
  friend bool operator==(const ProgramKey&, const ProgramKey&) = default;
  friend bool operator<(const ProgramKey& a, const ProgramKey& b);
};

struct CacheCounters {
  int64_t builds = 0;
  int64_t hits = 0;
  int64_t evictions = 0;
};

// Thread-safe. When several threads ask for the same program at once, one
// builds it and the others wait. Least recently used programs of a stage go
// when it has more than `capacity`; whoever holds one keeps it alive.
class ProgramCache {
 public:
  using Build = std::function<std::shared_ptr<const Program>(const ProgramKey&)>;

  // `ladder` turns a decode position into a bucket.
  ProgramCache(Build build, BucketLadder ladder, int capacity);

  // decode: shape.kv_extent is the number of past positions, and its bucket's
  // program is returned; other stages are keyed by the whole shape. Throws
  // kBadInput for a position outside the ladder, and what the build throws
  // (nothing is kept then, and nothing is built for a bad position).
  std::shared_ptr<const Program> Get(Stage stage, StageShape shape);
  // The extent that serves `past` positions.
  int64_t ExtentFor(int64_t past) const;

  // Builds every decode bucket up to `max_past` for this batch.
  void Warmup(int batch, int64_t max_past);

  CacheCounters counters(Stage stage) const;
  const BucketLadder& ladder() const { return ladder_; }
  size_t size(Stage stage) const;

 private:
  struct Entry {
    ProgramKey key;
    std::shared_ptr<const Program> program;  // null while it is being built
  };
  void Evict(Stage stage);

  const Build build_;
  const BucketLadder ladder_;
  const size_t capacity_;
  mutable std::mutex mutex_;
  std::condition_variable built_;
  std::list<Entry> entries_;  // most recently used first
  std::map<ProgramKey, std::list<Entry>::iterator> index_;
  std::array<CacheCounters, kStages.size()> counters_;
};

}  // namespace sotto
