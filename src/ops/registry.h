// SPDX-License-Identifier: MIT
// OpRegistry: the operators that programs of operators may call, by name and
// kernel key, and the shared libraries they came from.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ops/schema.h"
#include "sotto/ops.h"

namespace sotto {

// What calls asked the caller to count, added up.
struct OpCounters {
  uint64_t bytes_written = 0;
  uint64_t bytes_copied = 0;
};

// One kernel: an operator for one key.
struct OpKernel {
  std::string name;
  std::string key;  // "any", or the dtypes of the tensor arguments, "f32,f32"
  std::string schema_text;
  OpSchema schema;
  std::string library;  // the path, or the name that a table was added under
  sotto_op_function function = nullptr;
};

// Memory for one call's operator; see sotto_op_context::allocate.
class OpAllocator {
 public:
  virtual ~OpAllocator() = default;
  // nullptr where there is none left.
  virtual void* Allocate(size_t bytes) = 0;
};

// Calls a kernel with a stack of arguments and results. Throws Error(kDevice)
// "NAME: reason" where the kernel refuses or fails. `counters` and `allocator`
// may be null; without an allocator an operator gets no memory.
void CallOp(const OpKernel& kernel, std::span<sotto_op_value> stack,
            OpCounters* counters, OpAllocator* allocator);

// Keeps the libraries of some kernels loaded. Movable.
class OpPins;

// Any member from any thread. Adding what is there already changes nothing.
class OpRegistry {
 public:
  OpRegistry();
  ~OpRegistry();
  OpRegistry(const OpRegistry&) = delete;
  OpRegistry& operator=(const OpRegistry&) = delete;

  // The process's own, which the C API and the command line use.
  static OpRegistry& Process();

  // Adds a table of this process under a name ("host"). All of it or, where an
  // operator is wrong or defined by another library, nothing: throws
  // Error(kBadInput) that names the operator and both libraries.
  void Add(std::string_view library, std::span<const sotto_op> ops);
  // Opens a shared library that exports sotto_ops_entry and adds its table.
  // Loading what is loaded, by whatever path, changes nothing. Throws
  // kNotFound, kBadInput (no such library, as for Add) or kUnsupported (another
  // ABI).
  void Load(const std::filesystem::path& path);
  // Takes a library's operators out and closes it; `library` as it was given to
  // Load or Add. Throws kNotFound where it is not there, and kBadInput while a
  // program that uses it lives.
  void Remove(std::string_view library);

  // All kernels, sorted by name, then key.
  std::vector<OpKernel> Kernels() const;
  // All names, sorted, each once.
  std::vector<std::string> Names() const;
  std::vector<std::string> Libraries() const;

  // One call of a program: an operator's name and its tensor arguments' dtypes.
  struct Want {
    std::string name;
    std::string dtypes;  // "f32,f32"
    friend bool operator==(const Want&, const Want&) = default;
  };
  // Kernels for each of `wants`, in that order, their libraries pinned.
  struct Resolved {
    std::vector<std::shared_ptr<const OpKernel>> kernels;  // null: missing
    std::vector<std::string> missing;  // sorted, each once, in words
    std::shared_ptr<const OpPins> pins;
  };
  // Takes the kernel whose key is exactly the dtypes, else "any".
  Resolved Resolve(std::span<const Want> wants) const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace sotto
