// SPDX-License-Identifier: MIT
#include "runtime/session.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "base/trace.h"

#if defined(__SANITIZE_ADDRESS__)
#define SOTTO_POISON 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SOTTO_POISON 1
#endif
#endif
#ifdef SOTTO_POISON
#include <sanitizer/asan_interface.h>
#endif

namespace sotto {
namespace {

// Under AddressSanitizer, arena bytes that hold nothing live cannot be
// touched: a wrong memory plan, or a kernel that reads too far, is caught at
// the first access. Elsewhere this is nothing.
#ifdef SOTTO_POISON
class LiveRanges {
 public:
  LiveRanges(const MemoryPlan& plan, std::byte* arena)
      : plan_(plan), arena_(arena) {
    __asan_poison_memory_region(arena_, plan_.arena_bytes);
  }
  ~LiveRanges() { __asan_unpoison_memory_region(arena_, plan_.arena_bytes); }
  void Enter(size_t step) {
    const int now = static_cast<int>(step);
    for (const MemoryPlan::Item& item : plan_.items)
      if (item.last == now - 1)
        __asan_poison_memory_region(arena_ + item.offset, item.bytes);
    for (const MemoryPlan::Item& item : plan_.items)
      if (item.first == now)
        __asan_unpoison_memory_region(arena_ + item.offset, item.bytes);
  }

 private:
  const MemoryPlan& plan_;
  std::byte* arena_;
};
#else
class LiveRanges {
 public:
  LiveRanges(const MemoryPlan&, std::byte*) {}
  void Enter(size_t) {}
};
#endif

}  // namespace

void Session::Reserve(Buffer& buffer, size_t bytes, bool keep) {
  if (buffer.size() >= bytes && buffer.data() != nullptr) return;
  Buffer grown(std::max<size_t>(bytes, 1));
  const size_t old = keep ? buffer.size() : 0;
  if (old > 0) std::memcpy(grown.data(), buffer.data(), old);
  std::memset(grown.data() + old, 0, grown.size() - old);
  buffer = std::move(grown);
  ++generation_;
}

void Session::Prepare(const Program& program) { Bind(program); }

std::byte* Session::Io(std::string_view name, size_t bytes) {
  auto found = io_.find(name);
  if (found == io_.end()) found = io_.emplace(name, Buffer()).first;
  Reserve(found->second, bytes, true);
  return found->second.data();
}

Buffer& Session::State(std::string_view name) {
  const auto found = states_.find(name);
  if (found == states_.end())
    Fail(ErrorCode::kInternal, "session: no program has made the state '{}'",
         name);
  return found->second;
}

const Session::Binding& Session::Bind(const Program& program) {
  const auto found = bindings_.find(program.id());
  if (found != bindings_.end() && found->second.generation == generation_)
    return found->second;
  Reserve(arena_, program.plan().arena_bytes, false);
  for (const ValueHome& home : program.homes()) {
    if (home.kind == ValueHome::Kind::kIo) Io(home.name, home.bytes);
    if (home.kind == ValueHome::Kind::kState) {
      auto state = states_.find(home.name);
      if (state == states_.end())
        state = states_.emplace(home.name, Buffer()).first;
      Reserve(state->second, home.bytes, true);
    }
  }
  // A program that is gone left its addresses; its number never comes again.
  std::erase_if(bindings_, [](const auto& entry) {
    return entry.second.program.expired();
  });
  Binding& binding = bindings_[program.id()];
  binding.generation = generation_;
  binding.program = program.alive();
  binding.values.assign(program.homes().size(), nullptr);
  for (size_t i = 0; i < program.homes().size(); ++i) {
    const ValueHome& home = program.homes()[i];
    std::byte* base = nullptr;
    if (home.kind == ValueHome::Kind::kArena) base = arena_.data();
    if (home.kind == ValueHome::Kind::kIo)
      base = io_.find(home.name)->second.data();
    if (home.kind == ValueHome::Kind::kState)
      base = states_.find(home.name)->second.data();
    if (base != nullptr) binding.values[i] = base + home.offset;
  }
  return binding;
}

void Session::RunSteps(const Program& program, ThreadPool& pool,
                       const StepHook* after) {
  const TraceScope whole(program.graph().title, "program");
  const Binding& binding = Bind(program);
  LiveRanges live(program.plan(), arena_.data());
  Frame frame{binding.values.data(), nullptr, &pool};
  for (size_t i = 0; i < program.steps().size(); ++i) {
    const Step& step = *program.steps()[i];
    const TraceScope scope(step.info().op, step.info().kernel);
    frame.scratch = arena_.data() + program.scratch_offset(i);
    live.Enter(i);
    step.Run(frame);
    if (after != nullptr) (*after)(i, frame);
  }
}

void Session::Run(const Program& program, ThreadPool& pool) {
  RunSteps(program, pool, nullptr);
}

void Session::Run(const Program& program, ThreadPool& pool, StepHook after) {
  RunSteps(program, pool, &after);
}

size_t Session::bytes() const {
  size_t sum = arena_.size();
  for (const auto& [name, buffer] : io_) sum += buffer.size();
  for (const auto& [name, buffer] : states_) sum += buffer.size();
  return sum;
}

}  // namespace sotto
