// SPDX-License-Identifier: MIT
#include "base/thread_pool.h"

#include <gtest/gtest.h>

#include <chrono>
#include <numeric>
#include <vector>

namespace sotto {
namespace {

TEST(ThreadPool, RunsEachTaskOnce) {
  for (const int threads : {1, 2, 5}) {
    ThreadPool pool(threads);
    EXPECT_EQ(pool.threads(), threads);
    for (const int64_t tasks : {0, 1, 2, 7, 1000}) {
      std::vector<std::atomic<int>> hits(static_cast<size_t>(tasks));
      pool.ParallelFor(tasks, [&](int64_t task, int thread) {
        EXPECT_LT(thread, threads);
        hits[static_cast<size_t>(task)].fetch_add(1);
      });
      for (const auto& hit : hits) EXPECT_EQ(hit.load(), 1);
    }
  }
}

TEST(ThreadPool, WakesAfterSleepAndBetweenShortLoops) {
  ThreadPool pool(3);
  std::atomic<int64_t> sum{0};
  int64_t want = 0;
  for (int round = 0; round < 300; ++round) {
    if (round % 100 == 99)
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    pool.ParallelFor(4, [&](int64_t task, int) { sum += task + round; });
    want += 6 + 4 * round;
  }
  EXPECT_EQ(sum.load(), want);
}

// A worker that the system keeps from running must not hold the loop up: with
// far more threads than cores most come late to loops this short.
TEST(ThreadPool, DoesNotWaitForWorkersThatCameLate) {
  ThreadPool pool(64);
  for (int round = 0; round < 2000; ++round) {
    std::atomic<int> done{0};
    pool.ParallelFor(3, [&](int64_t, int) { ++done; });
    ASSERT_EQ(done.load(), 3);
  }
}

}  // namespace
}  // namespace sotto
