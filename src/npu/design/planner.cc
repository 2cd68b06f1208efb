// SPDX-License-Identifier: MIT
#include "npu/design/planner.h"

#include <fmt/format.h>

#include <algorithm>

#include "npu/design/draft.h"
#include "npu/design/router.h"

namespace sotto::npu {
namespace {

void CheckHostBuffers(Draft* draft) {
  const auto& buffers = draft->design->host_buffers;
  // The published four-column stream names eight, which no package offers.
  if (buffers.size() > kMaxHostBuffers && !draft->design->compat) {
    Refuse(*draft, fmt::format("{} host buffers, a kernel takes at most {}",
                               buffers.size(), kMaxHostBuffers));
  }
  for (const HostBufferDesign& buffer : buffers) {
    if (buffer.bytes <= 0 || buffer.bytes % 4 != 0 ||
        buffer.bytes > int64_t{0xFFFFFFFC}) {
      Refuse(*draft, fmt::format("host buffer {}: {} bytes, want a multiple of "
                                 "4 below 4 GB",
                                 buffer.name, buffer.bytes));
    }
    draft->plan.config.host_buffer_bytes.push_back(buffer.bytes);
  }
}

// What stands where in one tile's memory, lowest first.
struct Row {
  int64_t address;
  int64_t bytes;
  std::string name;
};

std::vector<Row> RowsOf(TileId id, const TileConfig& tile) {
  std::vector<Row> rows;
  for (const PlacedBuffer& b : tile.buffers) {
    rows.push_back({b.address, b.bytes, b.name});
  }
  if (IsCore(id)) {
    rows.push_back({tile.stack_address, tile.stack_bytes, "stack"});
  }
  std::sort(rows.begin(), rows.end(),
            [](const Row& a, const Row& b) { return a.address < b.address; });
  return rows;
}

int PortsUsed(const TileConfig& tile) {
  std::vector<Port> outs;
  for (const Connection& c : tile.connections) outs.push_back(c.out);
  std::sort(outs.begin(), outs.end());
  return static_cast<int>(std::unique(outs.begin(), outs.end()) - outs.begin());
}

}  // namespace

Plan MakePlan(const Design& design, KernelLookup lookup) {
  Draft draft{.design = &design, .lookup = lookup};
  draft.plan.config.name = design.name;
  CheckHostBuffers(&draft);
  ResolveFifos(&draft);
  PlaceMemory(&draft);
  AssignDma(&draft);
  RouteFlows(&draft);
  LowerPrograms(&draft);
  LowerSequence(&draft);
  return std::move(draft.plan);
}

Plan MakePlan(const Design& design) { return MakePlan(design, FindKernel); }

std::string MemoryMap(const Plan& plan) {
  std::string text;
  for (const auto& [id, tile] : plan.config.tiles) {
    const TileLimits limits = LimitsOf(KindOf(id));
    if (limits.memory_bytes == 0 || (tile.buffers.empty() && !IsCore(id))) {
      continue;
    }
    int64_t used = 0;
    std::string lines;
    for (const Row& row : RowsOf(id, tile)) {
      used += row.bytes;
      lines += fmt::format("  {:#07x}-{:#07x} {:>8} bank {:>2} {}\n",
                           row.address, row.address + row.bytes - 1, row.bytes,
                           row.address / (limits.memory_bytes / limits.banks),
                           row.name);
    }
    text += fmt::format("{} {}: {} of {} bytes", IsCore(id) ? "L1" : "L2",
                        Label(id), used, limits.memory_bytes);
    if (IsCore(id)) {
      text += fmt::format(", program {} of {} (estimated)", tile.program_bytes,
                          limits.program_bytes);
    }
    text += "\n" + lines;
  }
  return text;
}

std::string UsageReport(const Plan& plan) {
  std::string text;
  int cores = 0;
  for (const auto& [id, tile] : plan.config.tiles) {
    const TileLimits limits = LimitsOf(KindOf(id));
    if (!tile.program.empty()) ++cores;
    const auto starts = [&tile](Direction direction) {
      return std::count_if(
          tile.starts.begin(), tile.starts.end(),
          [&](const ChannelStart& s) { return s.direction == direction; });
    };
    text += fmt::format(
        "{:<14} descriptors {}/{}, locks {}/{}, chains in {}/{} out {}/{}, "
        "ports {}\n",
        Label(id), tile.descriptors.size(), limits.buffer_descriptors,
        tile.locks.size(), limits.locks, starts(Direction::kS2MM),
        limits.dma_channels, starts(Direction::kMM2S), limits.dma_channels,
        PortsUsed(tile));
  }
  const auto words = Encode(plan.stream).size();
  return text + fmt::format(
                    "cores {}/16, {} streams, {} tasks, {} instructions in {} "
                    "bytes, {} host buffers\n",
                    cores, plan.flows.size(), plan.tasks.size(),
                    plan.stream.ops.size(), 4 * words,
                    plan.config.host_buffer_bytes.size());
}

}  // namespace sotto::npu
