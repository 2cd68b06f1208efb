// SPDX-License-Identifier: MIT
#include "runtime/program.h"

#include <algorithm>
#include <atomic>

#include "base/error.h"
#include "tensor/buffer.h"

namespace sotto {
namespace {

std::string ItemText(const MemoryPlan::Item& item) {
  const std::string what = item.value == ir::kNoValue
                               ? "scratch"
                               : fmt::format("value {}", item.value);
  return fmt::format("{} [{}, {}) of steps {} to {}", what, item.offset,
                     item.offset + item.bytes, item.first, item.last);
}

std::string HomeText(const ValueHome& home) {
  switch (home.kind) {
    case ValueHome::Kind::kNone:
      return "-";
    case ValueHome::Kind::kArena:
      return fmt::format("arena+{}", home.offset);
    case ValueHome::Kind::kIo:
      return home.offset == 0 ? "io " + home.name
                              : fmt::format("io {}+{}", home.name, home.offset);
    case ValueHome::Kind::kState:
      return "state " + home.name;
  }
  return "?";
}

}  // namespace

void MemoryPlan::Prove() const {
  for (const Item& item : items) {
    if (item.offset % kAlignment != 0)
      Fail(ErrorCode::kInternal, "memory plan: {} is not aligned to {}",
           ItemText(item), kAlignment);
    if (item.first > item.last || item.first < 0)
      Fail(ErrorCode::kInternal, "memory plan: {} ends before it starts",
           ItemText(item));
    if (item.bytes > arena_bytes || item.offset > arena_bytes - item.bytes)
      Fail(ErrorCode::kInternal,
           "memory plan: {} ends past the arena's {} bytes", ItemText(item),
           arena_bytes);
  }
  for (size_t i = 0; i < items.size(); ++i)
    for (size_t j = i + 1; j < items.size(); ++j) {
      const Item& a = items[i];
      const Item& b = items[j];
      const bool times = a.first <= b.last && b.first <= a.last;
      const bool bytes =
          a.offset < b.offset + b.bytes && b.offset < a.offset + a.bytes;
      if (times && bytes && a.bytes > 0 && b.bytes > 0)
        Fail(ErrorCode::kInternal, "memory plan: {} overlaps {}", ItemText(a),
             ItemText(b));
    }
}

uint64_t Program::NextId() {
  static std::atomic<uint64_t> next{1};
  return next++;
}

double Program::flops() const {
  double sum = 0;
  for (const auto& step : steps_) sum += step->info().flops;
  return sum;
}

std::string Program::ToString() const {
  double read = 0;
  for (const auto& step : steps_) read += step->info().read_bytes;
  std::string text = fmt::format(
      "{}: {} steps, arena {} bytes, {:.3f} MFLOP, {:.3f} MB of weights and "
      "states read\n",
      graph_.title, steps_.size(), plan_.arena_bytes, flops() / 1e6,
      read / 1e6);
  for (size_t i = 0; i < steps_.size(); ++i) {
    const StepInfo& info = steps_[i]->info();
    const ir::Node& last = graph_.node(info.nodes.back());
    const ir::Value& out = graph_.value(last.output);
    std::string operands;
    for (const ir::ValueId id : graph_.node(info.nodes.front()).inputs) {
      if (!operands.empty()) operands += ", ";
      operands += id == ir::kNoValue ? "_" : ir::Label(graph_.value(id));
    }
    text += fmt::format("{:3} {:16} {:12} {} {} @ {} = ({})", i, info.op,
                        last.backend + "/" + info.kernel, ir::Label(out),
                        TypeString(out.dtype, out.shape),
                        HomeText(homes_[static_cast<size_t>(last.output)]),
                        operands);
    if (info.scratch_bytes > 0)
      text += fmt::format(" scratch {} @ arena+{}", info.scratch_bytes,
                          scratch_offset(i));
    text += "\n";
  }
  return text;
}

}  // namespace sotto
