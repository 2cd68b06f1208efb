// SPDX-License-Identifier: MIT
// Six hardware contexts is all an npu1 has, for all processes together. The
// pool keeps those that are open for their images and makes the seventh
// request wait instead of failing.
#pragma once

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <vector>

#include "npu/host/device.h"

namespace sotto::npu {

// Thread-safe. Outlives its leases.
class ContextPool {
 public:
  explicit ContextPool(Device& device, int limit = kMaxContexts);
  ~ContextPool();

  // A context that is the holder's alone until the lease ends.
  class Lease {
   public:
    Lease(Lease&& other) noexcept;
    Lease& operator=(Lease&&) = delete;
    ~Lease();
    Context& operator*() const { return *context_; }
    Context* operator->() const { return context_; }

   private:
    friend class ContextPool;
    Lease(ContextPool* pool, Context* context)
        : pool_(pool), context_(context) {}
    ContextPool* pool_;
    Context* context_;
  };

  // An idle context of this image, or a new one; where all are taken, waits for
  // one to be given back. An idle context of another image is closed to make
  // room. Images are told apart by their configuration and xclbin. Throws
  // Error(kDevice) "no context free" after `timeout`, and what Open throws.
  Lease Acquire(const Image& image, std::chrono::milliseconds timeout);

  int open() const;  // contexts that exist now

 private:
  struct Slot {
    std::shared_ptr<const ArrayConfig> config;
    std::string xclbin_path;
    std::unique_ptr<Context> context;
    bool busy = false;
    bool Holds(const Image& image) const {
      return config == image.config && xclbin_path == image.xclbin_path;
    }
  };
  // Null where nothing can be had now.
  Context* TryAcquire(const Image& image);
  void Release(Context* context);

  Device& device_;
  const size_t limit_;
  mutable std::mutex mutex_;
  std::condition_variable freed_;
  std::vector<Slot> slots_;  // those idle longest first
};

}  // namespace sotto::npu
