// SPDX-License-Identifier: MIT
// OnceCache: keeps what was built, builds each thing once even when many
// threads ask at once, and forgets what was used least recently.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "base/function_ref.h"

namespace sotto {

struct CacheStats {
  int64_t hits = 0;
  int64_t builds = 0;
  int64_t evictions = 0;
};

// Thread-safe. A hit allocates nothing.
template <typename Key, typename Value, typename Hash = std::hash<Key>>
class OnceCache {
 public:
  explicit OnceCache(size_t capacity) : capacity_(capacity) {}

  // The value of `key`; the first caller builds it, others wait for it. Where
  // building throws, the caller gets that, the key stays unknown and a waiting
  // caller builds for itself.
  std::shared_ptr<const Value> Get(
      const Key& key, FunctionRef<std::shared_ptr<const Value>()> build) {
    std::unique_lock lock(mutex_);
    for (auto found = map_.find(key); found != map_.end();
         found = map_.find(key)) {
      if (found->second->value != nullptr) {
        ++stats_.hits;
        order_.splice(order_.begin(), order_, found->second);
        return found->second->value;
      }
      ready_.wait(lock);
    }
    order_.push_front({key, nullptr});
    const auto entry = order_.begin();
    map_.emplace(key, entry);
    ++stats_.builds;
    lock.unlock();
    std::shared_ptr<const Value> value;
    try {
      value = build();
    } catch (...) {
      lock.lock();
      --stats_.builds;
      map_.erase(key);
      order_.erase(entry);
      ready_.notify_all();
      throw;
    }
    lock.lock();
    entry->value = value;
    Evict();
    ready_.notify_all();
    return value;
  }

  bool Holds(const Key& key) const {
    const std::lock_guard lock(mutex_);
    const auto found = map_.find(key);
    return found != map_.end() && found->second->value != nullptr;
  }
  size_t size() const {
    const std::lock_guard lock(mutex_);
    return order_.size();
  }
  CacheStats stats() const {
    const std::lock_guard lock(mutex_);
    return stats_;
  }

 private:
  struct Entry {
    Key key;
    std::shared_ptr<const Value> value;  // null while it is being built
  };

  void Evict() {
    for (auto last = order_.end();
         order_.size() > capacity_ && last != order_.begin();) {
      --last;
      if (last->value == nullptr) continue;
      map_.erase(last->key);
      last = order_.erase(last);
      ++stats_.evictions;
    }
  }

  const size_t capacity_;
  mutable std::mutex mutex_;
  std::condition_variable ready_;
  std::list<Entry> order_;  // most recently used first
  std::unordered_map<Key, typename std::list<Entry>::iterator, Hash> map_;
  CacheStats stats_;
};

}  // namespace sotto
