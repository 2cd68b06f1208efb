// SPDX-License-Identifier: MIT
// OpSession: one stream's memory of a program of operators (inputs, states,
// temps, outputs) and the run. Used by one thread at a time.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ops/program.h"
#include "ops/registry.h"
#include "tensor/buffer.h"

namespace sotto {

// What one operator took, added up over runs.
struct OpTiming {
  std::string op;
  uint64_t calls = 0;
  double seconds = 0;
  OpCounters counters;
};

class OpSession {
 public:
  // Allocates all memory of the session. Throws Error(kOutOfMemory).
  explicit OpSession(std::shared_ptr<const OpProgram> program);
  ~OpSession();
  OpSession(const OpSession&) = delete;
  OpSession& operator=(const OpSession&) = delete;

  // Everything as in a new session: states begin anew, all else is zero. Call
  // it between recordings, and after a run that failed.
  void Reset();

  // Runs the program once. Throws what an operator refused, kCancelled where
  // *stop became true between two statements, and kBadInput where the last run
  // failed and nothing was reset since: states may be half written. Allocates
  // only what operators ask for.
  void Run(const std::atomic<bool>* stop = nullptr);

  // A variable's tensor. Inputs are written through it before Run; outputs,
  // states, and views until the next Run, are read. Throws kNotFound.
  const sotto_op_tensor& Get(std::string_view variable) const;
  // Copies `bytes` in, or out. Throws kBadInput where the variable is no input,
  // or has another number of bytes, and names it.
  void SetInput(std::string_view variable, std::span<const std::byte> bytes);
  void Read(std::string_view variable, std::span<std::byte> bytes) const;

  const OpProgram& program() const { return *program_; }
  // By operator, sorted by name.
  std::vector<OpTiming> Timings() const;
  // Wall time of all runs.
  double seconds() const { return seconds_; }
  uint64_t runs() const { return runs_; }

 private:
  class RunMemory;
  void BuildStacks();
  sotto_op_value ValueOf(const OpArgument& argument, OpSchema::Kind kind);
  void RunStatements(const std::atomic<bool>* stop);
  void Call(size_t statement);
  void CheckTouched(size_t statement);

  std::shared_ptr<const OpProgram> program_;
  Buffer memory_;
  std::vector<sotto_op_tensor> tensors_;   // by variable, what operators get
  std::vector<sotto_op_tensor> declared_;  // the same, as they began
  struct Stack {
    std::vector<sotto_op_value> values;
    std::vector<uint32_t> touched;  // what the call may write, then results
    size_t written = 0;             // the first of those are no results
    size_t timing = 0;
  };
  std::vector<Stack> stacks_;  // by statement
  std::vector<std::vector<sotto_op_tensor*>> lists_;
  std::vector<OpTiming> timings_;
  std::unique_ptr<RunMemory> run_memory_;
  double seconds_ = 0;
  uint64_t runs_ = 0;
  bool failed_ = false;
};

}  // namespace sotto
