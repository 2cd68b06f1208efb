// SPDX-License-Identifier: MIT
#include "npu/sim/workers.h"

#include <utility>

namespace sotto::npu::sim {

Workers::Workers(int threads) {
  for (int i = 1; i < threads; ++i) threads_.emplace_back([this] { Loop(); });
}

Workers::~Workers() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  work_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

Workers::Ticket Workers::Submit(std::function<void()> work) {
  auto job = std::make_shared<Job>();
  job->work = std::move(work);
  {
    const std::lock_guard lock(mutex_);
    queue_.push_back(job);
  }
  work_.notify_one();
  return job;
}

void Workers::Wait(const Ticket& job) {
  std::unique_lock lock(mutex_);
  if (job->state == Job::State::kQueued) {
    // Stays in the queue; whoever takes it out sees that it has begun.
    job->state = Job::State::kRunning;
    lock.unlock();
    job->work();
    lock.lock();
    job->state = Job::State::kDone;
    return;
  }
  done_.wait(lock, [&job] { return job->state == Job::State::kDone; });
}

void Workers::Loop() {
  std::unique_lock lock(mutex_);
  while (true) {
    work_.wait(lock, [this] { return stop_ || !queue_.empty(); });
    if (queue_.empty()) return;
    const Ticket job = std::move(queue_.front());
    queue_.pop_front();
    if (job->state != Job::State::kQueued) continue;
    job->state = Job::State::kRunning;
    lock.unlock();
    job->work();
    lock.lock();
    job->state = Job::State::kDone;
    done_.notify_all();
  }
}

}  // namespace sotto::npu::sim
