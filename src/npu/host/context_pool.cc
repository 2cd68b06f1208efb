// SPDX-License-Identifier: MIT
#include "npu/host/context_pool.h"

#include <algorithm>

#include "base/error.h"

namespace sotto::npu {
namespace {

// How often a full device is asked again: another process tells nobody.
constexpr std::chrono::milliseconds kAskAgain{20};

}  // namespace

ContextPool::ContextPool(Device& device, int limit)
    : device_(device), limit_(static_cast<size_t>(limit)) {}

ContextPool::~ContextPool() = default;

ContextPool::Lease::Lease(Lease&& other) noexcept
    : pool_(other.pool_), context_(other.context_) {
  other.context_ = nullptr;
}

ContextPool::Lease::~Lease() {
  if (context_ != nullptr) pool_->Release(context_);
}

Context* ContextPool::TryAcquire(const Image& image) {
  for (Slot& slot : slots_) {
    if (slot.busy || !slot.Holds(image)) continue;
    slot.busy = true;
    return slot.context.get();
  }
  const auto idle = std::find_if(slots_.begin(), slots_.end(),
                                 [](const Slot& s) { return !s.busy; });
  if (slots_.size() >= limit_) {
    if (idle == slots_.end()) return nullptr;
    slots_.erase(idle);
  }
  try {
    slots_.push_back({image.config, image.xclbin_path, device_.Open(image),
                      /*busy=*/true});
  } catch (const Error& error) {
    // Other processes hold them: whether ours are idle or not, wait.
    const std::string_view text = error.what();
    if (error.code() != ErrorCode::kDevice ||
        text.find("no context free") == std::string_view::npos)
      throw;
    const auto ours = std::find_if(slots_.begin(), slots_.end(),
                                   [](const Slot& s) { return !s.busy; });
    if (ours != slots_.end()) slots_.erase(ours);
    return nullptr;
  }
  return slots_.back().context.get();
}

ContextPool::Lease ContextPool::Acquire(const Image& image,
                                        std::chrono::milliseconds timeout) {
  const auto end = std::chrono::steady_clock::now() + timeout;
  std::unique_lock lock(mutex_);
  while (true) {
    if (Context* context = TryAcquire(image)) return {this, context};
    const auto now = std::chrono::steady_clock::now();
    if (now >= end) {
      Fail(ErrorCode::kDevice,
           "npu: no context free after {} ms: {} are in use here, the device "
           "has {}",
           timeout.count(), slots_.size(), kMaxContexts);
    }
    freed_.wait_until(lock, std::min(end, now + kAskAgain));
  }
}

void ContextPool::Release(Context* context) {
  {
    const std::lock_guard lock(mutex_);
    const auto slot =
        std::find_if(slots_.begin(), slots_.end(),
                     [&](const Slot& s) { return s.context.get() == context; });
    SOTTO_CHECK(slot != slots_.end());
    slot->busy = false;
    std::rotate(slot, slot + 1, slots_.end());
  }
  freed_.notify_one();
}

int ContextPool::open() const {
  const std::lock_guard lock(mutex_);
  return static_cast<int>(slots_.size());
}

}  // namespace sotto::npu
