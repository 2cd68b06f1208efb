// SPDX-License-Identifier: MIT
// What the planner's steps hand to each other. Not for use outside design/.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "npu/design/design.h"
#include "npu/design/planner.h"

namespace sotto::npu {

// Memory of one tile through which elements pass, with its locks. Whoever
// fills takes `takes` of `empty` and adds `takes` to `full`; whoever empties
// takes one of `full` and adds one to `empty`, `takes` times an element.
struct Ring {
  struct Part {
    int64_t offset = 0;
    int64_t bytes = 0;
    int takes = 1;
    int empty_lock = -1;
    int full_lock = -1;
  };
  std::string name;
  TileId tile;
  int depth = 0;
  int64_t element_bytes = 0;
  bool contiguous = false;
  std::vector<int64_t> addresses;  // of each element
  std::vector<Part> parts;         // several in a distributing or joining link
};

// One end of a FIFO, resolved. Ends of shared FIFOs have no channel.
struct End {
  const Fifo* fifo = nullptr;
  const FifoEnd* spec = nullptr;
  int consumer = -1;  // -1: the producer
  Direction direction = Direction::kS2MM;
  int64_t element_bytes = 0;
  int ring = -1;  // -1: at a shim, or by tasks
  int part = -1;  // -1: all of the ring's parts, one after the other
  int channel = -1;
  std::string Label() const;  // "fifo in at (0,2)"
};

struct Draft {
  const Design* design = nullptr;
  KernelLookup lookup = nullptr;
  std::vector<Ring> rings;
  std::vector<End> ends;  // of each FIFO the producer, then the consumers
  std::map<std::string, size_t, std::less<>> first_end;  // by FIFO name
  std::map<std::string, int, std::less<>> lock_ids;      // of named locks
  // Static buffers by name; the address once placed.
  std::map<std::string, std::pair<const StaticBuffer*, int64_t>, std::less<>>
      statics;
  Plan plan;

  TileConfig& tile(TileId id) { return plan.config.tiles[id]; }
  End& EndOf(const Fifo& fifo, int consumer) {
    return ends[first_end.find(fifo.name)->second + 1 +
                static_cast<size_t>(consumer)];
  }
  // Throw Error(kBadInput) naming the design where there is none of the name.
  const Fifo& FifoNamed(std::string_view name) const;
  const NamedLock& LockNamed(std::string_view name) const;
};

[[noreturn]] void Refuse(const Draft& draft, const std::string& why);
// "core", "mem tile" or "shim", and the tile: "core (0,2)"
std::string Label(TileId tile);
bool IsCore(TileId tile);
// Where core `from` sees the memory of `owner`: the start of the window in its
// data address space; 0: it does not.
int64_t MemoryWindow(TileId from, TileId owner);

// The steps, in order.
void ResolveFifos(Draft* draft);   // fifos.cc: names, ends, rings, links
void PlaceMemory(Draft* draft);    // memory.cc: addresses, stacks
void AssignDma(Draft* draft);      // dma.cc: channels, locks, descriptors
void RouteFlows(Draft* draft);     // router.cc
void LowerPrograms(Draft* draft);  // program.cc: core programs
void LowerSequence(Draft* draft);  // sequence.cc: instruction stream

// program_size.cc. Of a lowered program, bytes of program memory (estimated).
int64_t ProgramBytes(const Draft& draft, const std::vector<CoreOp>& program);
// Stack that a core's program needs: its own two frames and the deepest kernel.
int64_t StackNeed(const Draft& draft, const CoreDesign& core);
// Tables of the kernels that a core runs, in its data memory.
int64_t TableBytes(const Draft& draft, TileId tile);
// Throws where a field of the descriptor is too wide for its tile.
void CheckDescriptor(const Draft& draft, TileId tile, const std::string& who,
                     const BufferDescriptor& bd, Direction direction);

}  // namespace sotto::npu
