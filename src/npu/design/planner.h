// SPDX-License-Identifier: MIT
// From a Design to an array ready to run and the instruction stream that runs
// it. Whatever does not fit the hardware is refused here with one line that
// names the tile, what was wanted and what there is.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "npu/array_config.h"
#include "npu/design/design.h"
#include "npu/kernels/kernel.h"
#include "npu/txn.h"

namespace sotto::npu {

// A FIFO's stream: from one DMA channel to one or several.
struct Flow {
  struct Endpoint {
    TileId tile;
    int channel = 0;
  };
  std::string fifo;
  Endpoint source;
  std::vector<Endpoint> sinks;  // in the order of the FIFO's consumers
  int hops = 0;                 // switches entered, all sinks together
};

// A DMA task of the instruction stream as planned.
struct PlannedTask {
  size_t step = 0;  // index in Design::sequence
  TileId tile;
  Direction direction = Direction::kS2MM;
  int channel = 0;
  std::vector<BufferDescriptor> chain;  // mostly one
  // The host buffer of each; -1: memory of the tile itself.
  std::vector<int> host_buffers;
  int runs = 1;
  bool token = false;
};

struct Plan {
  ArrayConfig config;
  TxnStream stream;
  std::vector<Flow> flows;
  std::vector<PlannedTask> tasks;
};

using KernelLookup = const KernelInfo* (*)(std::string_view name);

// Throws Error(kBadInput) for a design that contradicts itself or the array.
// Kernels are looked up with FindKernel where no other lookup is given.
Plan MakePlan(const Design& design, KernelLookup lookup);
Plan MakePlan(const Design& design);

// Addresses, sizes and names of everything in every tile's memory, the stack
// included, with sums: L1 of cores, L2 of mem tiles.
std::string MemoryMap(const Plan& plan);
// What each tile uses of what it has: cores, channels, descriptors, locks,
// ports; and how many of the 16 cores run something.
std::string UsageReport(const Plan& plan);

}  // namespace sotto::npu
