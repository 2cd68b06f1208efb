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

#include "runtime/program.h"
#include "tensor/buffer.h"
#include "tensor/tensor.h"

namespace sotto {

// Buffers are made the first time a program needs them and kept; a program
// that has run once runs again without any allocation. A named input or output
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

  size_t bytes() const;  // arena, states and named buffers

 private:
  struct Binding {
    uint64_t generation = 0;
    std::vector<void*> values;
  };
  const Binding& Bind(const Program& program);

  Buffer arena_;
  std::map<std::string, Buffer, std::less<>> io_;
  std::map<std::string, Buffer, std::less<>> states_;
  std::unordered_map<uint64_t, Binding> bindings_;  // by Program::id()
  uint64_t generation_ = 1;  // moves when any buffer moves
};

}  // namespace sotto
