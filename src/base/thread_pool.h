// SPDX-License-Identifier: MIT
// A fixed team of threads for one parallel loop after another.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

#include "base/function_ref.h"

namespace sotto {

// `threads` counts the caller, so ThreadPool(1) starts none. Loops do not
// nest, and one thread at a time may call ParallelFor. Workers spin for a
// moment after a loop and then sleep: a decode step has some fifty loops of
// 20-200 us each, and waking a sleeping thread costs as much as a loop. A loop
// waits only for workers that took part in it: where the system is busy with
// others, one that comes late finds the loop over and harms nobody. No call
// allocates.
class ThreadPool {
 public:
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  // Calls f(task, thread) for each task in [0, tasks), tasks handed out one by
  // one in ascending order; returns when all are done. f must not throw.
  void ParallelFor(int64_t tasks, FunctionRef<void(int64_t, int)> f);

 private:
  void Work(int thread);
  void RunTasks(int thread);
  // Becomes part of loop `loop` unless it is over.
  bool Enter(uint64_t loop);

  // gate_ is the number of the loop (32 bits), whether it is open to workers
  // (1 bit), and how many are inside (31 bits).
  static constexpr int kLoopShift = 32;
  static constexpr uint64_t kOpen = uint64_t{1} << 31;
  static constexpr uint64_t kInside = kOpen - 1;

  std::vector<std::thread> workers_;
  // The loop in progress. Written by the caller while nobody is inside.
  const FunctionRef<void(int64_t, int)>* loop_ = nullptr;
  int64_t tasks_ = 0;
  alignas(64) std::atomic<int64_t> next_{0};
  alignas(64) std::atomic<uint64_t> gate_{0};
  alignas(64) std::atomic<bool> stop_{false};
  std::atomic<int> sleepers_{0};
  std::mutex mutex_;
  std::condition_variable wake_;
};

}  // namespace sotto
