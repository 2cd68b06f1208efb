// SPDX-License-Identifier: MIT
// Addresses. The stack of a core grows upwards (AIE2), so it stands at the end
// of the tile's memory: what runs over it leaves the memory and faults, rather
// than changing a buffer. The published single-tile designs have it at 0, below
// their first buffer; `compat` keeps that.
#include <fmt/format.h>

#include <algorithm>

#include "npu/design/draft.h"

namespace sotto::npu {
namespace {

// Vector loads and stores move 256 bits.
constexpr int64_t kAlign = 32;
int64_t RoundUp(int64_t value) {
  return (value + kAlign - 1) / kAlign * kAlign;
}

constexpr const char* kTables = ".data";  // of kernels

// A buffer that wants an address.
struct Want {
  std::string name;
  int64_t bytes = 0;
  int ring = -1;  // of a ring its element; else a static buffer
  size_t element = 0;
  const StaticBuffer* fixed = nullptr;
  int64_t address = -1;
};

std::vector<Want> WantsOf(const Draft& draft, TileId tile) {
  std::vector<Want> wants;
  for (size_t r = 0; r < draft.rings.size(); ++r) {
    const Ring& ring = draft.rings[r];
    if (ring.tile != tile) continue;
    if (ring.contiguous) {
      wants.push_back({.name = ring.name,
                       .bytes = ring.depth * ring.element_bytes,
                       .ring = static_cast<int>(r)});
      continue;
    }
    for (int e = 0; e < ring.depth; ++e) {
      wants.push_back({.name = fmt::format("{}.{}", ring.name, e),
                       .bytes = ring.element_bytes,
                       .ring = static_cast<int>(r),
                       .element = static_cast<size_t>(e)});
    }
  }
  for (const StaticBuffer& buffer : draft.design->buffers) {
    if (buffer.tile != tile) continue;
    wants.push_back(
        {.name = buffer.name, .bytes = buffer.bytes, .fixed = &buffer});
  }
  const int64_t tables = TableBytes(draft, tile);
  if (tables > 0) wants.push_back({.name = kTables, .bytes = tables});
  return wants;
}

bool Sequential(std::vector<Want>* wants, int64_t from, int64_t end) {
  for (Want& want : *wants) {
    want.address = from;
    from = RoundUp(from + want.bytes);
    if (want.address + want.bytes > end) return false;
  }
  return true;
}

// The start of the lowest gap of [from, end) that takes `bytes`; -1: none.
int64_t Gap(const std::vector<Want>& wants, int64_t bytes, int64_t from,
            int64_t end) {
  std::vector<std::pair<int64_t, int64_t>> used;
  for (const Want& want : wants) {
    if (want.address < 0) continue;
    used.emplace_back(want.address, RoundUp(want.address + want.bytes));
  }
  std::sort(used.begin(), used.end());
  for (const auto& [start, stop] : used) {
    if (stop <= from) continue;
    if (start >= end || start - from >= bytes) break;
    from = std::max(from, stop);
  }
  return from + bytes <= end ? from : -1;
}

// The elements of a ring go to different banks while there is room, so that a
// DMA fills one while the core reads the other without conflicts. The largest
// are placed first; what fits no single bank takes the lowest gap.
bool BankAware(std::vector<Want>* wants, int64_t low, int64_t end,
               const TileLimits& limits) {
  const int64_t bank_bytes = limits.memory_bytes / limits.banks;
  std::vector<size_t> order(wants->size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return (*wants)[a].bytes > (*wants)[b].bytes;
  });
  std::vector<int64_t> taken(static_cast<size_t>(limits.banks));
  for (const size_t i : order) {
    Want& want = (*wants)[i];
    std::vector<size_t> banks(taken.size());
    for (size_t b = 0; b < banks.size(); ++b) banks[b] = b;
    const auto siblings = [&](size_t bank) {
      return std::count_if(wants->begin(), wants->end(), [&](const Want& w) {
        return want.ring >= 0 && w.ring == want.ring && w.address >= 0 &&
               static_cast<size_t>(w.address / bank_bytes) == bank;
      });
    };
    std::stable_sort(banks.begin(), banks.end(), [&](size_t a, size_t b) {
      return std::pair(siblings(a), taken[a]) <
             std::pair(siblings(b), taken[b]);
    });
    int64_t at = -1;
    for (const size_t bank : banks) {
      const int64_t start = static_cast<int64_t>(bank) * bank_bytes;
      at = Gap(*wants, want.bytes, std::max(start, low),
               std::min(start + bank_bytes, end));
      if (at >= 0) break;
    }
    if (at < 0) at = Gap(*wants, want.bytes, low, end);
    if (at < 0) return false;
    want.address = at;
    taken[static_cast<size_t>(at / bank_bytes)] += want.bytes;
  }
  return true;
}

// Tables stand behind all buffers, where aiecc's linker script leaves room.
bool PlaceForDevice(std::vector<Want>* wants, int64_t from, int64_t end,
                    const TileLimits& limits) {
  std::vector<Want> tables;
  if (!wants->empty() && wants->back().name == kTables) {
    tables.push_back(wants->back());
    wants->pop_back();
    end -= RoundUp(tables[0].bytes);
  }
  bool fits = BankAware(wants, from, end, limits);
  if (!fits) fits = Sequential(wants, from, end);
  int64_t last = from;
  for (const Want& want : *wants)
    last = std::max(last, RoundUp(want.address + want.bytes));
  for (Want& table : tables) {
    table.address = last;
    wants->push_back(table);
  }
  return fits;
}

void Place(Draft* draft, TileId tile, int64_t stack) {
  const TileLimits limits = LimitsOf(KindOf(tile));
  std::vector<Want> wants = WantsOf(*draft, tile);
  const bool compat = draft->design->compat;
  const bool below = compat || draft->design->stack_below;
  const int64_t from = below ? stack : 0;
  const int64_t end = below ? limits.memory_bytes : limits.memory_bytes - stack;
  const bool fits = below && !compat
                        ? PlaceForDevice(&wants, from, end, limits)
                        : (!compat && BankAware(&wants, from, end, limits)) ||
                              Sequential(&wants, from, end);
  if (!fits) {
    int64_t sum = stack;
    for (const Want& want : wants) sum += RoundUp(want.bytes);
    Refuse(*draft,
           fmt::format("{}: buffers and a stack of {} bytes are {} bytes, want "
                       "at most {}",
                       Label(tile), stack, sum, limits.memory_bytes));
  }
  TileConfig& config = draft->tile(tile);
  for (const Want& want : wants) {
    PlacedBuffer placed{
        .name = want.name, .address = want.address, .bytes = want.bytes};
    if (want.fixed != nullptr) {
      placed.initial = want.fixed->initial;
      draft->statics.find(want.name)->second.second = want.address;
    } else if (want.ring >= 0) {
      Ring& ring = draft->rings[static_cast<size_t>(want.ring)];
      for (int e = 0; e < (ring.contiguous ? ring.depth : 1); ++e) {
        ring.addresses.push_back(want.address + e * ring.element_bytes);
      }
    }
    config.buffers.push_back(std::move(placed));
  }
  if (!IsCore(tile)) return;
  config.stack_bytes = stack;
  config.stack_address = below ? 0 : end;
}

}  // namespace

void PlaceMemory(Draft* draft) {
  std::map<TileId, int64_t> stacks;  // every tile with memory in use
  for (const Ring& ring : draft->rings) stacks[ring.tile] = 0;
  for (const StaticBuffer& buffer : draft->design->buffers) {
    stacks[buffer.tile] = 0;
  }
  for (const CoreDesign& core : draft->design->cores) {
    if (!IsCore(core.tile)) {
      Refuse(*draft,
             fmt::format("{} has no core to run a program", Label(core.tile)));
    }
    const int64_t need = StackNeed(*draft, core);
    int64_t stack = core.stack_bytes > 0
                        ? core.stack_bytes
                        : std::max<int64_t>(kDefaultStackBytes, RoundUp(need));
    if (draft->design->compat) stack = kDefaultStackBytes;
    if (stack < need && !draft->design->compat) {
      Refuse(*draft, fmt::format("{}: stack of {} bytes, its program needs {}",
                                 Label(core.tile), stack, need));
    }
    stacks[core.tile] = RoundUp(stack);
  }
  for (const auto& [tile, stack] : stacks) Place(draft, tile, stack);
}

}  // namespace sotto::npu
