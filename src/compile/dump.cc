// SPDX-License-Identifier: MIT
#include "compile/dump.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "compile/memory_plan.h"
#include "ir/text.h"

namespace sotto {
namespace {

constexpr std::array<std::string_view, 5> kWords = {"graph", "program", "plan",
                                                    "kernels", "profile"};

std::string PlanText(const Program& program, const Profile& profile) {
  const MemoryPlan& plan = program.plan();
  const auto alignment = static_cast<size_t>(profile.alignment);
  std::vector<const MemoryPlan::Item*> items;
  for (const MemoryPlan::Item& item : plan.items) items.push_back(&item);
  std::stable_sort(items.begin(), items.end(),
                   [](const auto* a, const auto* b) {
                     return a->offset != b->offset ? a->offset < b->offset
                                                   : a->first < b->first;
                   });
  std::string text = fmt::format(
      "{}: arena {} bytes, at least {} are alive at once\n"
      "      offset        bytes  steps      value\n",
      program.graph().title, plan.arena_bytes, LowerBound(plan, alignment));
  // Steps squeezed into 40 columns, # where the block is alive.
  constexpr size_t kColumns = 40;
  const size_t steps = std::max<size_t>(program.steps().size(), 1);
  const size_t columns = std::min(kColumns, steps);
  for (const MemoryPlan::Item* item : items) {
    std::string bar(columns, '.');
    const size_t begin = static_cast<size_t>(item->first) * columns / steps;
    const size_t end = static_cast<size_t>(item->last) * columns / steps;
    for (size_t i = begin; i <= std::min(end, columns - 1); ++i) bar[i] = '#';
    text += fmt::format("{:12} {:12}  {:4}-{:<4}  {} {}\n", item->offset,
                        item->bytes, item->first, item->last, bar,
                        item->value == ir::kNoValue
                            ? "(scratch)"
                            : ir::Label(program.graph().value(item->value)));
  }
  for (size_t i = 0; i < program.homes().size(); ++i) {
    const ValueHome& home = program.homes()[i];
    const ir::Value& value = program.graph().values[i];
    if (home.kind != ValueHome::Kind::kIo &&
        (home.kind != ValueHome::Kind::kState ||
         value.kind != ir::ValueKind::kState))
      continue;
    text += fmt::format("{} {} {} bytes\n",
                        home.kind == ValueHome::Kind::kIo ? "io" : "state",
                        home.name, home.bytes);
  }
  return text;
}

std::string KernelText(const Program& program) {
  std::string text = program.graph().title + "\n";
  for (size_t i = 0; i < program.steps().size(); ++i) {
    const StepInfo& info = program.steps()[i]->info();
    text += fmt::format("{:3} {} {}", i, info.kernel,
                        ir::Describe(program.graph(),
                                     program.graph().node(info.nodes.front())));
    if (info.flops > 0) text += fmt::format(" {:.3f} MFLOP", info.flops / 1e6);
    text += "\n";
    if (!info.refused.empty())
      text += fmt::format("      not: {}\n", info.refused);
  }
  return text;
}

}  // namespace

std::optional<Dump> DumpNamed(std::string_view word) {
  for (size_t i = 0; i < kWords.size(); ++i)
    if (kWords[i] == word) return static_cast<Dump>(i);
  return std::nullopt;
}

std::string DumpText(Dump what, const Program& program,
                     const Profile& profile) {
  switch (what) {
    case Dump::kGraph:
      return ir::Print(program.graph());
    case Dump::kProgram:
      return program.ToString();
    case Dump::kPlan:
      return PlanText(program, profile);
    case Dump::kKernels:
      return KernelText(program);
    case Dump::kProfile:
      return profile.ToToml();
  }
  return "";
}

}  // namespace sotto
