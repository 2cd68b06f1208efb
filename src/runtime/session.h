// SPDX-License-Identifier: MIT
// Session: one stream's state. KV caches, inputs and outputs by name, and the
// arena its programs run in. Used by one thread at a time.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/function_ref.h"
#include "runtime/program.h"
#include "tensor/buffer.h"
#include "tensor/tensor.h"

namespace sotto {

// Buffers are made the first time a program needs them, zeroed, and kept; they
// only grow, keeping what is in them, so programs for one slot and for many
// share their states. A program that has run once runs again without any
// allocation. A named input or output
// is one buffer for all programs of the session, which is how the encoder's
// "audio" becomes the input of cross_kv.
class Session {
 public:
  Session() = default;

  // Makes room for everything `program` needs, so that Run allocates nothing.
  void Prepare(const Program& program);
  // The memory of a named input or output; at least `bytes` long.
  std::byte* Io(std::string_view name, size_t bytes);
  // The memory of a named state; throws kInternal where no program made it.
  Buffer& State(std::string_view name);
  // Runs all steps. Inputs were written to Io() before; outputs are read there.
  void Run(const Program& program, ThreadPool& pool);
  // The same, and calls `after` behind each step, while all that the step read
  // and wrote is still there: to time, dump or compare values.
  using StepHook = FunctionRef<void(size_t step, const Frame& frame)>;
  void Run(const Program& program, ThreadPool& pool, StepHook after);

  size_t bytes() const;  // arena, states and named buffers
  // Programs whose addresses are kept, for tests.
  size_t bindings() const { return bindings_.size(); }

 private:
  struct Binding {
    uint64_t generation = 0;
    std::weak_ptr<const void> program;
    std::vector<void*> values;
  };
  const Binding& Bind(const Program& program);
  void Reserve(Buffer& buffer, size_t bytes, bool keep);
  void RunSteps(const Program& program, ThreadPool& pool,
                const StepHook* after);

  Buffer arena_;
  std::map<std::string, Buffer, std::less<>> io_;
  std::map<std::string, Buffer, std::less<>> states_;
  std::unordered_map<uint64_t, Binding> bindings_;  // by Program::id()
  uint64_t generation_ = 1;  // moves when any buffer moves
};

}  // namespace sotto
