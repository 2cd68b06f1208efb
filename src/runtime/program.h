// SPDX-License-Identifier: MIT
// Program: a compiled stage. Ordered steps plus a memory plan that was proven
// before anything ran. Immutable, shared by sessions and threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/thread_pool.h"
#include "ir/graph.h"

namespace sotto {

// What a step sees while it runs: addresses, resolved once per (program,
// session), and the threads.
struct Frame {
  // Base address of each value by id, null for views' missing storage never:
  // a Slice or Reshape has the address of its first element. Weights are null;
  // the step holds its packed weights itself.
  void* const* values;
  // This step's scratch memory (Step::info().scratch_bytes), 64-byte aligned.
  std::byte* scratch;
  ThreadPool* pool;

  template <typename T>
  T* At(ir::ValueId id) const {
    return static_cast<T*>(values[id]);
  }
};

struct StepInfo {
  std::vector<ir::NodeId> nodes;  // graph nodes this step computes, in order
  std::string op;                 // "linear"
  std::string kernel;             // "amx_bf16"
  std::string refused;  // why rows before it in kernels.def were refused
  size_t scratch_bytes = 0;
  double flops = 0;        // multiply and add count as two
  double read_bytes = 0;   // weights and state read at full extent
};

// One unit of work. Whatever could be wrong was refused while compiling, so
// Run can fail only with Error(kDevice). Const: one step serves many sessions.
class Step {
 public:
  virtual ~Step() = default;
  virtual void Run(const Frame& frame) const = 0;
  const StepInfo& info() const { return info_; }

 protected:
  StepInfo info_;
};

// Offsets of everything that lives in the arena while the program runs.
struct MemoryPlan {
  struct Item {
    ir::ValueId value = ir::kNoValue;  // kNoValue: scratch of step `first`
    size_t offset = 0;
    size_t bytes = 0;
    int first = 0;  // step that writes it
    int last = 0;   // last step that reads it
  };
  std::vector<Item> items;
  size_t arena_bytes = 0;

  // Throws Error(kInternal) where two items that live at once share a byte,
  // an offset is not aligned to 64, or an item ends past the arena.
  void Prove() const;
};

// Where a value's bytes are while the program runs.
struct ValueHome {
  enum class Kind : uint8_t {
    kNone,   // weights, and values fused away
    kArena,  // offset into the session's arena
    kIo,     // a named buffer of the session (graph inputs and outputs)
    kState,  // a named state of the session
  };
  Kind kind = Kind::kNone;
  size_t offset = 0;  // kArena: from the arena's start; else from the buffer's
  std::string name;   // kIo, kState
  size_t bytes = 0;
};

class Program {
 public:
  Program(ir::Graph graph, std::vector<std::unique_ptr<Step>> steps,
          MemoryPlan plan, std::vector<ValueHome> homes)
      : graph_(std::move(graph)),
        steps_(std::move(steps)),
        plan_(std::move(plan)),
        homes_(std::move(homes)) {}

  // Unique in this process, unlike the address, which may be used again.
  uint64_t id() const { return id_; }
  // Expires with the program: sessions drop what they keep for it.
  std::weak_ptr<const void> alive() const { return alive_; }
  const ir::Graph& graph() const { return graph_; }
  const std::vector<std::unique_ptr<Step>>& steps() const { return steps_; }
  const MemoryPlan& plan() const { return plan_; }
  const std::vector<ValueHome>& homes() const { return homes_; }
  // Offset of step i's scratch in the arena.
  size_t scratch_offset(size_t step) const { return scratch_offsets_[step]; }
  void set_scratch_offsets(std::vector<size_t> offsets) {
    scratch_offsets_ = std::move(offsets);
  }
  double flops() const;
  // Totals, then one line a step: number, op, kernel, result with its home,
  // operands.
  std::string ToString() const;

 private:
  static uint64_t NextId();

  uint64_t id_ = NextId();
  std::shared_ptr<const void> alive_ = std::make_shared<char>();
  ir::Graph graph_;
  std::vector<std::unique_ptr<Step>> steps_;
  MemoryPlan plan_;
  std::vector<ValueHome> homes_;
  std::vector<size_t> scratch_offsets_;
};

}  // namespace sotto
