// SPDX-License-Identifier: MIT
#include "compile/memory_plan.h"

#include <algorithm>
#include <numeric>
#include <set>

#include "base/error.h"

namespace sotto {
namespace {

using ir::Op;

size_t RoundUp(size_t value, size_t to) { return (value + to - 1) / to * to; }

size_t BytesOfValue(const ir::Value& value) {
  return BytesOf(value.dtype, static_cast<size_t>(value.shape.Elements()));
}

// Memory that one or more values share.
struct Storage {
  ValueHome::Kind kind = ValueHome::Kind::kArena;
  ir::ValueId owner = ir::kNoValue;
  size_t bytes = 0;
  int first = -1;
  int last = -1;
};

class Planner {
 public:
  Planner(const ir::Graph& graph, std::span<const std::unique_ptr<Step>> steps,
          std::span<Backend* const> backends, const PlanOptions& options)
      : graph_(graph),
        steps_(steps),
        backends_(backends),
        options_(options),
        step_of_(graph.nodes.size(), -1),
        storage_(graph.values.size(), -1),
        offset_(graph.values.size(), 0) {}

  PlannedMemory Run() {
    MapNodesToSteps();
    FindLastReads();
    MakeStorages();
    MeasureLives();
    return Emit();
  }

 private:
  void MapNodesToSteps() {
    for (size_t i = 0; i < steps_.size(); ++i)
      for (const ir::NodeId node : steps_[i]->info().nodes)
        step_of_[static_cast<size_t>(node)] = static_cast<int>(i);
    for (size_t i = 0; i < graph_.nodes.size(); ++i)
      if (step_of_[i] < 0 && !ir::IsView(graph_.nodes[i].op))
        Fail(ErrorCode::kInternal, "{}: no step computes {}", graph_.title,
             ir::Label(graph_.value(graph_.nodes[i].output)));
  }

  // The last step that reads each value, views of it included; behind the
  // last step for outputs.
  void FindLastReads() {
    last_read_.assign(graph_.values.size(), -1);
    for (const ir::ValueId id : graph_.outputs)
      last_read_[static_cast<size_t>(id)] = static_cast<int>(steps_.size());
    for (size_t i = graph_.nodes.size(); i-- > 0;) {
      const ir::Node& node = graph_.nodes[i];
      const int at = step_of_[i] >= 0
                         ? step_of_[i]
                         : last_read_[static_cast<size_t>(node.output)];
      for (const ir::ValueId input : node.inputs) {
        if (input == ir::kNoValue) continue;
        int& last = last_read_[static_cast<size_t>(input)];
        last = std::max(last, at);
      }
    }
  }

  void MakeStorages() {
    std::set<ir::ValueId> outputs(graph_.outputs.begin(), graph_.outputs.end());
    for (size_t i = 0; i < graph_.values.size(); ++i) {
      const ir::Value& value = graph_.values[i];
      const auto id = static_cast<ir::ValueId>(i);
      if (value.kind == ir::ValueKind::kInput)
        New(id, ValueHome::Kind::kIo, BytesOfValue(value));
      if (value.kind == ir::ValueKind::kState)
        New(id, ValueHome::Kind::kState, StateBytes(value));
    }
    for (size_t i = 0; i < graph_.nodes.size(); ++i) {
      const ir::Node& node = graph_.nodes[i];
      const ir::Value& out = graph_.value(node.output);
      if (ir::IsView(node.op)) {
        size_t offset = 0;
        if (node.op == Op::kSlice)
          offset = BytesOf(
              out.dtype,
              static_cast<size_t>(std::get<ir::SliceAttrs>(node.attrs).begin));
        Join(node.output, node.inputs[0], offset);
      } else if (node.op == Op::kKvWrite) {
        Join(node.output, node.inputs[0], 0);
      } else if (outputs.contains(node.output)) {
        New(node.output, ValueHome::Kind::kIo, BytesOfValue(out));
      } else if (const ir::ValueId over = MayOverwrite(i);
                 over != ir::kNoValue) {
        Join(node.output, over, 0);
      } else {
        New(node.output, ValueHome::Kind::kArena, BytesOfValue(out));
      }
    }
  }

  // The operand whose memory the node's result may take, or kNoValue.
  ir::ValueId MayOverwrite(size_t index) const {
    const ir::Node& node = graph_.nodes[index];
    if (!options_.alias) return ir::kNoValue;
    const Step& step = *steps_[static_cast<size_t>(step_of_[index])];
    if (step.info().nodes.size() != 1) return ir::kNoValue;
    size_t operand = 0;
    if (node.op == Op::kLinear) {
      if (node.inputs.size() < 4) return ir::kNoValue;
      operand = 3;
    } else if (node.op != Op::kGelu && node.op != Op::kAdd) {
      return ir::kNoValue;
    }
    const ir::ValueId over = node.inputs[operand];
    if (over == ir::kNoValue) return over;
    const ir::Value& in = graph_.value(over);
    const ir::Value& out = graph_.value(node.output);
    const int storage = storage_[static_cast<size_t>(over)];
    if (in.dtype != out.dtype || in.shape != out.shape || storage < 0 ||
        storages_[static_cast<size_t>(storage)].kind !=
            ValueHome::Kind::kArena ||
        storages_[static_cast<size_t>(storage)].bytes != BytesOfValue(in))
      return ir::kNoValue;
    // Whoever shares that memory must be done with it, and no other operand
    // of this node may stand in it.
    for (size_t i = 0; i < graph_.values.size(); ++i)
      if (storage_[i] == storage && last_read_[i] > step_of_[index])
        return ir::kNoValue;
    for (size_t i = 0; i < node.inputs.size(); ++i)
      if (i != operand && node.inputs[i] != ir::kNoValue &&
          storage_[static_cast<size_t>(node.inputs[i])] == storage)
        return ir::kNoValue;
    return over;
  }

  void New(ir::ValueId id, ValueHome::Kind kind, size_t bytes) {
    storage_[static_cast<size_t>(id)] = static_cast<int>(storages_.size());
    storages_.push_back({.kind = kind, .owner = id, .bytes = bytes});
  }
  void Join(ir::ValueId id, ir::ValueId with, size_t offset) {
    const auto at = static_cast<size_t>(id);
    storage_[at] = storage_[static_cast<size_t>(with)];
    offset_[at] = offset_[static_cast<size_t>(with)] + offset;
    SOTTO_CHECK(storage_[at] >= 0);
  }

  size_t StateBytes(const ir::Value& state) const {
    size_t most = 0;
    for (const Backend* backend : backends_)
      most = std::max(most, backend->StateBytes(state));
    return most;
  }

  void MeasureLives() {
    for (size_t i = 0; i < graph_.values.size(); ++i) {
      if (storage_[i] < 0) continue;
      Storage& storage = storages_[static_cast<size_t>(storage_[i])];
      const ir::Value& value = graph_.values[i];
      int first = 0;
      if (value.kind == ir::ValueKind::kTemp) {
        first = step_of_[static_cast<size_t>(value.producer)];
        if (first < 0) continue;  // a view: written with what it looks at
      }
      if (storage.first < 0 || first < storage.first) storage.first = first;
      storage.last = std::max({storage.last, first, last_read_[i]});
    }
    // A value made and read within one step never leaves it.
    for (Storage& storage : storages_)
      storage.last =
          std::min(storage.last, static_cast<int>(steps_.size()) - 1);
  }

  // True where a step makes and reads the value for itself.
  bool IsInternal(const Storage& storage) const {
    const ir::Value& value = graph_.value(storage.owner);
    if (storage.kind != ValueHome::Kind::kArena || value.producer < 0)
      return false;
    const int made = step_of_[static_cast<size_t>(value.producer)];
    const auto& nodes = steps_[static_cast<size_t>(made)]->info().nodes;
    return nodes.size() > 1 && nodes.back() != value.producer &&
           storage.last == made;
  }

  PlannedMemory Emit() {
    PlannedMemory memory;
    std::vector<size_t> item_of(storages_.size(), SIZE_MAX);
    for (size_t i = 0; i < storages_.size(); ++i) {
      const Storage& storage = storages_[i];
      if (storage.kind != ValueHome::Kind::kArena || IsInternal(storage))
        continue;
      item_of[i] = memory.plan.items.size();
      memory.plan.items.push_back({.value = storage.owner,
                                   .bytes = storage.bytes,
                                   .first = storage.first,
                                   .last = storage.last});
    }
    const size_t values = memory.plan.items.size();
    for (size_t i = 0; i < steps_.size(); ++i)
      memory.plan.items.push_back({.bytes = steps_[i]->info().scratch_bytes,
                                   .first = static_cast<int>(i),
                                   .last = static_cast<int>(i)});
    PlaceItems(memory.plan, options_.alignment);
    memory.plan.Prove();
    for (size_t i = 0; i < steps_.size(); ++i)
      memory.scratch_offsets.push_back(memory.plan.items[values + i].offset);
    std::erase_if(memory.plan.items,
                  [](const MemoryPlan::Item& item) { return item.bytes == 0; });
    for (size_t i = 0; i < graph_.values.size(); ++i)
      memory.homes.push_back(HomeOf(i, memory.plan, item_of));
    return memory;
  }

  ValueHome HomeOf(size_t value, const MemoryPlan& plan,
                   const std::vector<size_t>& item_of) const {
    if (storage_[value] < 0) return {};
    const auto index = static_cast<size_t>(storage_[value]);
    const Storage& storage = storages_[index];
    ValueHome home{.kind = storage.kind,
                   .offset = offset_[value],
                   .name = "",
                   .bytes = storage.bytes};
    if (storage.kind == ValueHome::Kind::kArena) {
      if (item_of[index] == SIZE_MAX) return {};
      home.offset += plan.items[item_of[index]].offset;
    } else {
      home.name = graph_.value(storage.owner).name;
    }
    return home;
  }

  const ir::Graph& graph_;
  std::span<const std::unique_ptr<Step>> steps_;
  std::span<Backend* const> backends_;
  PlanOptions options_;
  std::vector<int> step_of_;    // by node; -1 for views
  std::vector<int> last_read_;  // by value
  std::vector<int> storage_;    // by value; -1 for weights
  std::vector<size_t> offset_;  // by value, within its storage
  std::vector<Storage> storages_;
};

}  // namespace

void PlaceItems(MemoryPlan& plan, size_t alignment) {
  std::vector<size_t> order(plan.items.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return plan.items[a].bytes > plan.items[b].bytes;
  });
  plan.arena_bytes = 0;
  std::vector<size_t> placed;  // ascending by offset
  for (const size_t index : order) {
    MemoryPlan::Item& item = plan.items[index];
    const size_t bytes = RoundUp(item.bytes, alignment);
    size_t best = 0, best_gap = SIZE_MAX, end = 0;
    for (const size_t other_index : placed) {
      const MemoryPlan::Item& other = plan.items[other_index];
      if (other.first > item.last || item.first > other.last) continue;
      if (other.offset >= end + bytes && other.offset - end < best_gap) {
        best = end;
        best_gap = other.offset - end;
      }
      end = std::max(end, other.offset + RoundUp(other.bytes, alignment));
    }
    item.offset = best_gap == SIZE_MAX ? end : best;
    plan.arena_bytes = std::max(plan.arena_bytes, item.offset + bytes);
    const auto behind =
        std::upper_bound(placed.begin(), placed.end(), item.offset,
                         [&](size_t offset, size_t other) {
                           return offset < plan.items[other].offset;
                         });
    placed.insert(behind, index);
  }
}

size_t LowerBound(const MemoryPlan& plan, size_t alignment) {
  size_t most = 0;
  for (const MemoryPlan::Item& at : plan.items) {
    size_t alive = 0;
    for (const MemoryPlan::Item& item : plan.items)
      if (item.first <= at.first && at.first <= item.last)
        alive += RoundUp(item.bytes, alignment);
    most = std::max(most, alive);
  }
  return most;
}

PlannedMemory PlanMemory(const ir::Graph& graph,
                         std::span<const std::unique_ptr<Step>> steps,
                         std::span<Backend* const> backends,
                         const PlanOptions& options) {
  return Planner(graph, steps, backends, options).Run();
}

}  // namespace sotto
