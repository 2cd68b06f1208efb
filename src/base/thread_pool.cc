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
// A worker that is not done by then (some 50 us) was probably put aside for
// another process; the caller offers its own core.
constexpr int kPausesPerYield = 1024;

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
    gate_.fetch_add(uint64_t{1} << kLoopShift);
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

void ThreadPool::ParallelFor(int64_t tasks, FunctionRef<void(int64_t, int)> f) {
  if (workers_.empty() || tasks <= 1) {
    for (int64_t task = 0; task < tasks; ++task) f(task, 0);
    return;
  }
  loop_ = &f;
  tasks_ = tasks;
  next_.store(0, std::memory_order_relaxed);
  const uint64_t loop =
      (gate_.load(std::memory_order_relaxed) >> kLoopShift) + 1;
  gate_.store(loop << kLoopShift | kOpen);
  // note: a worker counts itself into sleepers_ before its last look at the
  // gate, so either it sees this loop or we see it asleep.
  if (sleepers_.load() > 0) {
    const std::lock_guard lock(mutex_);
    wake_.notify_all();
  }
  RunTasks(0);
  gate_.fetch_and(~kOpen, std::memory_order_relaxed);
  for (int i = 1; (gate_.load(std::memory_order_acquire) & kInside) != 0; ++i) {
    Pause();
    if (i % kPausesPerYield == 0) std::this_thread::yield();
  }
}

bool ThreadPool::Enter(uint64_t loop) {
  uint64_t gate = gate_.load(std::memory_order_relaxed);
  while (gate >> kLoopShift == loop && (gate & kOpen) != 0)
    if (gate_.compare_exchange_weak(gate, gate + 1, std::memory_order_acquire,
                                    std::memory_order_relaxed))
      return true;
  return false;
}

void ThreadPool::Work(int thread) {
  uint64_t seen = 0;
  const auto newest = [this] { return gate_.load() >> kLoopShift; };
  for (;;) {
    auto deadline = std::chrono::steady_clock::now() + kSpin;
    for (int i = 1; newest() == seen; ++i) {
      Pause();
      if (i % kPausesPerClock != 0 ||
          std::chrono::steady_clock::now() < deadline)
        continue;
      std::unique_lock lock(mutex_);
      sleepers_.fetch_add(1);
      wake_.wait(lock, [&] { return newest() != seen; });
      sleepers_.fetch_sub(1);
    }
    if (stop_) return;
    seen = newest();
    if (!Enter(seen)) continue;
    RunTasks(thread);
    gate_.fetch_sub(1, std::memory_order_release);
  }
}

}  // namespace sotto
