// SPDX-License-Identifier: MIT
#include "base/thread_pool.h"

#include <chrono>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace sotto {
namespace {

void Pause() {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Long enough to bridge the gap between two loops of a decode step (a few
// microseconds of rules and sampling), short enough not to burn a core while
// the caller does something else.
constexpr auto kSpin = std::chrono::microseconds(200);
constexpr int kPausesPerClock = 64;

}  // namespace

ThreadPool::ThreadPool(int threads) {
  workers_.reserve(static_cast<size_t>(threads > 1 ? threads - 1 : 0));
  for (int i = 1; i < threads; ++i)
    workers_.emplace_back([this, i] { Work(i); });
}

ThreadPool::~ThreadPool() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
    epoch_.fetch_add(1);
  }
  wake_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::RunTasks(int thread) {
  for (;;) {
    const int64_t task = next_.fetch_add(1, std::memory_order_relaxed);
    if (task >= tasks_) return;
    (*loop_)(task, thread);
  }
}

void ThreadPool::ParallelFor(int64_t tasks,
                             FunctionRef<void(int64_t, int)> f) {
  if (workers_.empty() || tasks <= 1) {
    for (int64_t task = 0; task < tasks; ++task) f(task, 0);
    return;
  }
  loop_ = &f;
  tasks_ = tasks;
  next_.store(0, std::memory_order_relaxed);
  busy_.store(static_cast<int>(workers_.size()), std::memory_order_relaxed);
  epoch_.fetch_add(1);
  // note: a worker counts itself into sleepers_ before its last look at the
  // epoch, so either it sees this loop or we see it asleep.
  if (sleepers_.load() > 0) {
    const std::lock_guard lock(mutex_);
    wake_.notify_all();
  }
  RunTasks(0);
  while (busy_.load(std::memory_order_acquire) > 0) Pause();
}

void ThreadPool::Work(int thread) {
  uint64_t seen = 0;
  for (;;) {
    auto deadline = std::chrono::steady_clock::now() + kSpin;
    for (int i = 1; epoch_.load(std::memory_order_acquire) == seen; ++i) {
      Pause();
      if (i % kPausesPerClock != 0 ||
          std::chrono::steady_clock::now() < deadline)
        continue;
      std::unique_lock lock(mutex_);
      sleepers_.fetch_add(1);
      wake_.wait(lock, [&] { return epoch_.load() != seen; });
      sleepers_.fetch_sub(1);
    }
    // Only one loop can be new: the caller waits for every worker.
    ++seen;
    if (stop_) return;
    RunTasks(thread);
    busy_.fetch_sub(1, std::memory_order_release);
  }
}

}  // namespace sotto
