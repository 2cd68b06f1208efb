// SPDX-License-Identifier: MIT
#include "extension/executorch/kept_memory.h"

#include <atomic>
#include <functional>
#include <mutex>

namespace sotto::pte {
namespace {

struct Range {
  const std::byte* begin = nullptr;
  size_t bytes = 0;
};

constexpr int kMostRanges = 64;
std::mutex ranges_mutex;
Range ranges[kMostRanges];
// Read without the lock: kernels ask at each call, mostly in vain.
std::atomic<int> range_count = 0;

}  // namespace

bool KeepMemory(const void* begin, size_t bytes) {
  const std::lock_guard lock(ranges_mutex);
  const int count = range_count.load();
  if (begin == nullptr || bytes == 0 || count == kMostRanges) return false;
  ranges[count] = {.begin = static_cast<const std::byte*>(begin),
                   .bytes = bytes};
  range_count.store(count + 1);
  return true;
}

void ForgetMemory() {
  const std::lock_guard lock(ranges_mutex);
  range_count.store(0);
}

bool IsKept(const void* begin, size_t bytes) {
  if (range_count.load() == 0 || begin == nullptr) return false;
  const auto* first = static_cast<const std::byte*>(begin);
  // The order of pointers into different memory, which < leaves open.
  const std::less_equal<const std::byte*> below;
  const std::lock_guard lock(ranges_mutex);
  for (int i = 0; i < range_count.load(); ++i) {
    const Range& range = ranges[i];
    if (bytes <= range.bytes && below(range.begin, first) &&
        below(first, range.begin + (range.bytes - bytes)))
      return true;
  }
  return false;
}

}  // namespace sotto::pte
