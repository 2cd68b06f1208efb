// SPDX-License-Identifier: MIT
#include "compile/memory_plan.h"

#include <algorithm>
#include <numeric>

#include "base/error.h"
#include "tensor/buffer.h"

namespace sotto {
namespace {

using ir::Op;
using ir::ValueId;

size_t Aligned(size_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

// Follows views and in-place writes to the value that owns the bytes.
struct Roots {
  std::vector<ValueId> root;
  std::vector<size_t> offset;  // bytes from the root's start
};

// The residual that this node's output may take the place of; kNoValue where
// there is none.
ValueId ResidualOf(const ir::Node& node) {
  const bool product = node.op == Op::kLinear || node.op == Op::kConv1d;
  return product && node.inputs.size() > 3 ? node.inputs[3] : ir::kNoValue;
}

class Planner {
 public:
  Planner(const ir::Graph& graph, std::span<const std::unique_ptr<Step>> steps,
          std::span<Backend* const> backends)
      : graph_(graph), steps_(steps), backends_(backends) {}

  PlannedMemory Run() {
    FindSteps();
    FindLives();
    FindRoots();
    AddItems();
    PlaceItems(&result_.plan);
    result_.plan.Prove();
    Finish();
    return std::move(result_);
  }

 private:
  static size_t At(ValueId id) { return static_cast<size_t>(id); }

  void FindSteps() {
    step_of_.assign(graph_.nodes.size(), -1);
    for (size_t s = 0; s < steps_.size(); ++s)
      for (const ir::NodeId node : steps_[s]->info().nodes)
        step_of_[static_cast<size_t>(node)] = static_cast<int>(s);
  }

  // First write and last read of each value by itself; views extend later.
  void FindLives() {
    first_.assign(graph_.values.size(), -1);
    last_.assign(graph_.values.size(), -1);
    for (size_t n = 0; n < graph_.nodes.size(); ++n) {
      const ir::Node& node = graph_.nodes[n];
      const int step = step_of_[n];
      if (step < 0) continue;  // a view
      first_[At(node.output)] = step;
      last_[At(node.output)] = std::max(last_[At(node.output)], step);
      for (const ValueId input : node.inputs)
        if (input != ir::kNoValue)
          last_[At(input)] = std::max(last_[At(input)], step);
    }
    // A view's readers keep its source alive. Views come after their source,
    // so walking backwards sees chains whole.
    for (size_t n = graph_.nodes.size(); n-- > 0;) {
      const ir::Node& node = graph_.nodes[n];
      if (node.op == Op::kSlice || node.op == Op::kReshape)
        last_[At(node.inputs[0])] =
            std::max(last_[At(node.inputs[0])], last_[At(node.output)]);
    }
  }

  bool IsIo(ValueId id) const {
    return graph_.value(id).kind == ir::ValueKind::kInput ||
           std::find(graph_.outputs.begin(), graph_.outputs.end(), id) !=
               graph_.outputs.end();
  }

  void FindRoots() {
    roots_.root.resize(graph_.values.size());
    std::iota(roots_.root.begin(), roots_.root.end(), 0);
    roots_.offset.assign(graph_.values.size(), 0);
    for (const ir::Node& node : graph_.nodes) {
      const ValueId in = node.inputs[0];
      if (node.op == Op::kKvWrite || node.op == Op::kReshape) {
        Adopt(node.output, in, 0);
      } else if (node.op == Op::kSlice) {
        const auto& attrs = std::get<ir::SliceAttrs>(node.attrs);
        Adopt(node.output, in,
              BytesOf(graph_.value(in).dtype,
                      static_cast<size_t>(attrs.begin)));
      } else if (MayTakeResidual(node)) {
        const ValueId residual = ResidualOf(node);
        const ValueId root = roots_.root[At(residual)];
        Adopt(node.output, residual, 0);
        last_[At(root)] =
            std::max(last_[At(root)], last_[At(node.output)]);
      }
    }
  }

  void Adopt(ValueId child, ValueId parent, size_t offset) {
    roots_.root[At(child)] = roots_.root[At(parent)];
    roots_.offset[At(child)] = roots_.offset[At(parent)] + offset;
  }

  // The output may live where the residual does: same bytes, made by a step,
  // nobody reads the residual afterwards, and neither is a named buffer.
  bool MayTakeResidual(const ir::Node& node) const {
    const ValueId residual = ResidualOf(node);
    if (residual == ir::kNoValue) return false;
    const ir::Value& in = graph_.value(residual);
    const ir::Value& out = graph_.value(node.output);
    const ValueId root = roots_.root[At(residual)];
    return in.kind == ir::ValueKind::kTemp && in.shape == out.shape &&
           in.dtype == out.dtype && roots_.offset[At(residual)] == 0 &&
           graph_.value(root).shape == in.shape && !IsIo(root) &&
           !IsIo(node.output) &&
           last_[At(root)] == first_[At(node.output)];
  }

  void AddItems() {
    item_of_.assign(graph_.values.size(), -1);
    for (size_t v = 0; v < graph_.values.size(); ++v) {
      const ValueId id = static_cast<ValueId>(v);
      const ir::Value& value = graph_.values[v];
      if (value.kind != ir::ValueKind::kTemp || roots_.root[v] != id ||
          IsIo(id))
        continue;
      item_of_[v] = static_cast<int>(result_.plan.items.size());
      result_.plan.items.push_back(
          {.value = id,
           .bytes = Aligned(BytesOf(
               value.dtype, static_cast<size_t>(value.shape.Elements()))),
           .first = first_[v],
           .last = last_[v]});
    }
    scratch_item_.assign(steps_.size(), -1);
    for (size_t s = 0; s < steps_.size(); ++s) {
      const size_t bytes = steps_[s]->info().scratch_bytes;
      if (bytes == 0) continue;
      scratch_item_[s] = static_cast<int>(result_.plan.items.size());
      const int step = static_cast<int>(s);
      result_.plan.items.push_back(
          {.bytes = Aligned(bytes), .first = step, .last = step});
    }
  }

  size_t StateBytes(const ir::Value& state) const {
    return backends_.front()->StateBytes(state);
  }

  ValueHome RootHome(ValueId root) const {
    const ir::Value& value = graph_.value(root);
    const size_t bytes =
        BytesOf(value.dtype, static_cast<size_t>(value.shape.Elements()));
    if (value.kind == ir::ValueKind::kState)
      return {ValueHome::Kind::kState, 0, value.name, StateBytes(value)};
    if (value.kind == ir::ValueKind::kWeight) return {};
    if (IsIo(root)) return {ValueHome::Kind::kIo, 0, value.name, bytes};
    const MemoryPlan::Item& item =
        result_.plan.items[static_cast<size_t>(item_of_[At(root)])];
    return {ValueHome::Kind::kArena, item.offset, "", bytes};
  }

  void Finish() {
    for (size_t v = 0; v < graph_.values.size(); ++v) {
      ValueHome home = RootHome(roots_.root[v]);
      home.offset += roots_.offset[v];
      result_.homes.push_back(std::move(home));
    }
    for (const int item : scratch_item_)
      result_.scratch_offsets.push_back(
          item < 0 ? 0
                   : result_.plan.items[static_cast<size_t>(item)].offset);
  }

  const ir::Graph& graph_;
  const std::span<const std::unique_ptr<Step>> steps_;
  const std::span<Backend* const> backends_;
  std::vector<int> step_of_, first_, last_, item_of_, scratch_item_;
  Roots roots_;
  PlannedMemory result_;
};

}  // namespace

void PlaceItems(MemoryPlan* plan) {
  std::vector<size_t> order(plan->items.size());
  std::iota(order.begin(), order.end(), 0u);
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return plan->items[a].bytes > plan->items[b].bytes;
  });
  std::vector<size_t> placed;  // in the order of their offsets
  for (const size_t i : order) {
    MemoryPlan::Item& item = plan->items[i];
    size_t at = 0, best = SIZE_MAX, best_gap = SIZE_MAX;
    for (const size_t j : placed) {
      const MemoryPlan::Item& other = plan->items[j];
      if (item.first > other.last || other.first > item.last) continue;
      if (other.offset >= at + item.bytes && other.offset - at < best_gap) {
        best = at;
        best_gap = other.offset - at;
      }
      at = std::max(at, other.offset + other.bytes);
    }
    item.offset = best == SIZE_MAX ? at : best;
    plan->arena_bytes = std::max(plan->arena_bytes, item.offset + item.bytes);
    placed.insert(std::upper_bound(placed.begin(), placed.end(), i,
                                   [&](size_t a, size_t b) {
                                     return plan->items[a].offset <
                                            plan->items[b].offset;
                                   }),
                  i);
  }
}

PlannedMemory PlanMemory(const ir::Graph& graph,
                         std::span<const std::unique_ptr<Step>> steps,
                         std::span<Backend* const> backends) {
  return Planner(graph, steps, backends).Run();
}

}  // namespace sotto
