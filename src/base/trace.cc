// SPDX-License-Identifier: MIT
#include "base/trace.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <mutex>
#include <nlohmann/json.hpp>
#include <vector>

namespace sotto {
namespace {

using Text = std::array<char, 48>;

struct Event {
  Text name{};
  Text category{};
  uint64_t start = 0;
  uint64_t end = 0;
  int thread = 0;
};

// One lock for all: a scope ends some hundred times a decode step, and an
// uncontended lock costs 20 ns.
struct Ring {
  std::mutex mutex;
  std::vector<Event> events;
  uint64_t written = 0;
  uint64_t origin = 0;
};

Ring& TheRing() {
  static Ring ring;
  return ring;
}

int ThreadNumber() {
  static std::atomic<int> next{0};
  thread_local const int number = next++;
  return number;
}

void Copy(std::string_view from, Text& to) {
  const size_t size = std::min(from.size(), to.size() - 1);
  std::copy_n(from.data(), size, to.data());
  to[size] = 0;
}

double Microseconds(uint64_t nanoseconds) {
  return static_cast<double>(nanoseconds) / 1000;
}

}  // namespace

namespace trace_internal {

std::atomic<bool> enabled{false};

uint64_t Now() {
  return static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(
          std::chrono::steady_clock::now().time_since_epoch())
          .count());
}

void Record(std::string_view name, std::string_view category, uint64_t start) {
  const uint64_t end = Now();
  Ring& ring = TheRing();
  const std::lock_guard lock(ring.mutex);
  if (ring.events.empty() || start < ring.origin) return;
  Event& event = ring.events[ring.written++ % ring.events.size()];
  Copy(name, event.name);
  Copy(category, event.category);
  event.start = start;
  event.end = end;
  event.thread = ThreadNumber();
}

}  // namespace trace_internal

void StartTrace(size_t events) {
  Ring& ring = TheRing();
  const std::lock_guard lock(ring.mutex);
  ring.events.assign(std::max<size_t>(events, 1), Event{});
  ring.written = 0;
  ring.origin = trace_internal::Now();
  trace_internal::enabled = true;
}

void StopTrace() { trace_internal::enabled = false; }

uint64_t TraceEvents() {
  Ring& ring = TheRing();
  const std::lock_guard lock(ring.mutex);
  return ring.written;
}

std::string DumpTrace() {
  Ring& ring = TheRing();
  const std::lock_guard lock(ring.mutex);
  nlohmann::json list = nlohmann::json::array();
  const uint64_t size = ring.events.size();
  const uint64_t kept = std::min<uint64_t>(ring.written, size);
  for (uint64_t i = ring.written - kept; i < ring.written; ++i) {
    const Event& event = ring.events[i % size];
    list.push_back({{"name", event.name.data()},
                    {"cat", event.category.data()},
                    {"ph", "X"},
                    {"ts", Microseconds(event.start - ring.origin)},
                    {"dur", Microseconds(event.end - event.start)},
                    {"pid", 1},
                    {"tid", event.thread}});
  }
  // Names cut within a letter are no reason to fail.
  return nlohmann::json{{"traceEvents", std::move(list)},
                        {"displayTimeUnit", "ms"}}
      .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace sotto
