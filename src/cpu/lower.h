// SPDX-License-Identifier: MIT
// Inside the CPU backend: what the steps_*.cc files share. Not for others.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "base/error.h"
#include "cpu/cpu_backend.h"
#include "cpu/pack.h"
#include "cpu/select.h"
#include "runtime/program.h"

namespace sotto::cpu {

// A value as rows of a matrix: the last axis is the row, views are resolved.
struct RowsOf {
  ir::ValueId id = ir::kNoValue;
  DType type = DType::kF32;
  int64_t rows = 0, width = 0;
  int64_t stride = 0;  // elements between rows

  RowsIn In() const { return {nullptr, type, stride}; }
  RowsOut Out() const { return {nullptr, type, stride}; }
};

// Throws kUnsupported where a Reshape looks at something that is not dense.
RowsOf ResolveRows(const ir::Graph& graph, ir::ValueId id);

// One node on its way to a step. `weights` is null while Refuse only asks.
struct Lowering {
  const CpuOptions& options;
  const ir::Graph& graph;
  ir::NodeId id;
  PackedWeights* packed = nullptr;
  const WeightReader* weights = nullptr;

  const ir::Node& node() const { return graph.node(id); }
  // The node's input i, or kNoValue where it was left out.
  ir::ValueId Input(size_t i) const;
  const ir::Value& InputValue(size_t i) const { return graph.value(Input(i)); }
  const ir::Value& OutputValue() const { return graph.value(node().output); }
  RowsOf InputRows(size_t i) const { return ResolveRows(graph, Input(i)); }
  RowsOf OutputRows() const { return ResolveRows(graph, node().output); }
  int threads() const { return options.pool->threads(); }

  // The kernel for this node; throws kUnsupported with every reason. `info`
  // gets the names.
  const KernelRow& Choose(ir::Op op, const KernelShape& shape,
                          StepInfo& info) const;
  // Throws kUnsupported: "cpu: linear %12: <what>".
  [[noreturn]] void Reject(const std::string& what) const;
  // Input i, a weight, packed; null while only asking.
  const float* Plain(size_t i) const;
  const std::byte* Matrix(size_t i, DType type, int64_t taps) const;
};

// A step that is one kernel call: `bind` fills the addresses of this run into
// a copy of the arguments.
template <typename Args, typename Bind>
class KernelStep final : public Step {
 public:
  KernelStep(StepInfo info, const Args& args, KernelOf<Args> run, int threads,
             Bind bind)
      : args_(args), run_(run), threads_(threads), bind_(std::move(bind)) {
    info_ = std::move(info);
  }
  void Run(const Frame& frame) const override {
    // note: scratch was planned for so many threads and no more.
    SOTTO_CHECK(frame.pool->threads() <= threads_);
    Args args = args_;
    bind_(args, frame);
    run_(args, Context{frame.pool, frame.scratch});
  }

 private:
  Args args_;
  KernelOf<Args> run_;
  int threads_;
  Bind bind_;
};

template <typename Args, typename Bind>
std::unique_ptr<Step> MakeStep(const Lowering& lowering, const KernelRow& row,
                               StepInfo info, const Args& args, Bind bind) {
  info.scratch_bytes = row.Scratch(args, lowering.threads());
  return std::make_unique<KernelStep<Args, Bind>>(
      std::move(info), args, row.Function<Args>(lowering.options.features),
      lowering.threads(), std::move(bind));
}

std::unique_ptr<Step> LowerLinear(const Lowering& lowering);
std::unique_ptr<Step> LowerConv1d(const Lowering& lowering);
std::unique_ptr<Step> LowerAttention(const Lowering& lowering);
std::unique_ptr<Step> LowerCachedAttention(const Lowering& lowering);
std::unique_ptr<Step> LowerKvWrite(const Lowering& lowering);
std::unique_ptr<Step> LowerLayerNorm(const Lowering& lowering);
std::unique_ptr<Step> LowerMap(const Lowering& lowering);
std::unique_ptr<Step> LowerAdd(const Lowering& lowering);
std::unique_ptr<Step> LowerTranspose(const Lowering& lowering);
std::unique_ptr<Step> LowerEmbed(const Lowering& lowering);
std::unique_ptr<Step> LowerSelectRows(const Lowering& lowering);

}  // namespace sotto::cpu
