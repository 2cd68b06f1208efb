// SPDX-License-Identifier: MIT
// Trace: scoped timers into one ring buffer, dumped for chrome://tracing or
// Perfetto. While it is off, a scope costs one relaxed load.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace sotto {

// Starts recording into a ring of `events`, forgetting what was recorded; the
// oldest are overwritten. Any thread; allocates here and nowhere else.
void StartTrace(size_t events = 1 << 16);
void StopTrace();
// What was recorded, oldest first, as Chrome trace JSON ("X" events, times in
// microseconds since StartTrace).
std::string DumpTrace();
// Events written since StartTrace, overwritten ones included.
uint64_t TraceEvents();

namespace trace_internal {
extern std::atomic<bool> enabled;
uint64_t Now();  // nanoseconds, steady
void Record(std::string_view name, std::string_view category, uint64_t start);
}  // namespace trace_internal

// Times its own life. The strings must outlive it; they are copied (the first
// 47 bytes) when it ends.
class TraceScope {
 public:
  explicit TraceScope(std::string_view name, std::string_view category = "")
      : name_(name),
        category_(category),
        start_(trace_internal::enabled.load(std::memory_order_relaxed)
                   ? trace_internal::Now()
                   : 0) {}
  ~TraceScope() {
    if (start_ != 0) trace_internal::Record(name_, category_, start_);
  }
  TraceScope(const TraceScope&) = delete;
  TraceScope& operator=(const TraceScope&) = delete;

 private:
  std::string_view name_;
  std::string_view category_;
  uint64_t start_;
};

}  // namespace sotto
