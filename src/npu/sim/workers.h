// SPDX-License-Identifier: MIT
// Threads that run kernels of several cores at once. The event loop starts a
// kernel at its first cycle and needs its results at its last, so kernels of
// different cores overlap as they do on the array; locks keep them apart there
// as here.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace sotto::npu::sim {

class Workers {
 public:
  class Job;
  using Ticket = std::shared_ptr<Job>;

  // `threads` counts the caller.
  explicit Workers(int threads);
  ~Workers();
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  // `work` must not throw.
  Ticket Submit(std::function<void()> work);
  // Returns when it is done; does it itself where nobody has begun.
  void Wait(const Ticket& job);

 private:
  void Loop();

  std::mutex mutex_;
  std::condition_variable work_;
  std::condition_variable done_;
  std::deque<Ticket> queue_;
  bool stop_ = false;
  std::vector<std::thread> threads_;
};

class Workers::Job {
 private:
  friend class Workers;
  enum class State : uint8_t { kQueued, kRunning, kDone };
  std::function<void()> work;
  State state = State::kQueued;  // guarded by mutex_
};

}  // namespace sotto::npu::sim
