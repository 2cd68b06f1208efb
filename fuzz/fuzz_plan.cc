// SPDX-License-Identifier: MIT
// The placing of values in the arena: 4 bytes an item (size, first step, life,
// alignment). No two that live at once may overlap, and Prove, which says so,
// must see an overlap that is planted.
#include <algorithm>
#include <cstdint>
#include <cstdlib>

#include "base/error.h"
#include "compile/memory_plan.h"

namespace {

using sotto::MemoryPlan;

void Require(bool condition) {
  if (!condition) std::abort();
}

bool Proves(const MemoryPlan& plan) {
  try {
    plan.Prove();
    return true;
  } catch (const sotto::Error&) {
    return false;
  }
}

// By counting the owners of every 64 bytes at every step.
bool Overlaps(const MemoryPlan& plan) {
  for (const MemoryPlan::Item& a : plan.items)
    for (const MemoryPlan::Item& b : plan.items) {
      if (&a == &b || a.bytes == 0 || b.bytes == 0) continue;
      const bool apart = a.offset + a.bytes <= b.offset ||
                         b.offset + b.bytes <= a.offset || a.last < b.first ||
                         b.last < a.first;
      if (!apart) return true;
    }
  return false;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  MemoryPlan plan;
  size_t alignment = 64;
  for (size_t i = 0; i + 4 <= std::min<size_t>(size, 1024); i += 4) {
    plan.items.push_back({.value = static_cast<sotto::ir::ValueId>(i / 4),
                          .bytes = size_t{data[i]} << (data[i + 3] & 15),
                          .first = data[i + 1],
                          .last = data[i + 1] + data[i + 2]});
    alignment = size_t{64} << (data[i + 3] >> 6);
  }
  sotto::PlaceItems(plan, alignment);
  Require(Proves(plan) && !Overlaps(plan));
  Require(plan.arena_bytes >= sotto::LowerBound(plan, alignment));
  for (size_t i = 0; i + 1 < plan.items.size(); ++i) {
    MemoryPlan planted = plan;
    planted.items[i].offset = planted.items[i + 1].offset;
    Require(Proves(planted) ==
            (!Overlaps(planted) &&
             planted.items[i].offset + planted.items[i].bytes <=
                 planted.arena_bytes));
  }
  return 0;
}
