// SPDX-License-Identifier: MIT
// The array's registers: where they are and how buffer descriptors and task
// queue entries are packed into them. One copy, for the planner that writes
// instruction streams and for the simulator that runs them.
// Source: AM025 (AIE-ML register reference) and aie-rt's generated register
// header of the generation (xaiemlgbl_params.h).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "npu/array_config.h"
#include "npu/target.h"

namespace sotto::npu {

// What a register address means.
struct RegisterAddress {
  enum class Kind : uint8_t {
    kData,         // a word of the tile's data memory, at byte `offset`
    kDescriptor,   // word `word` of buffer descriptor `index`
    kQueue,        // task queue of channel `index`
    kControl,      // control register of channel `index`
    kLock,         // value of lock `index`
    kCoreControl,  // bit 0 enable, bit 1 reset
    kNone,         // nothing that this project writes
  };
  Kind kind = Kind::kNone;
  TileId tile;
  Direction direction = Direction::kS2MM;
  int index = 0;
  int word = 0;
  uint32_t offset = 0;  // within the tile
};
RegisterAddress LocateRegister(uint32_t address);

uint32_t DescriptorAddress(TileId tile, int descriptor);
uint32_t QueueAddress(TileId tile, Direction direction, int channel);
uint32_t ControlAddress(TileId tile, Direction direction, int channel);
uint32_t LockAddress(TileId tile, int lock);
uint32_t DataAddress(TileId tile, int64_t byte);

// Words of a descriptor's registers: core tiles 6, mem and shim tiles 8.
int DescriptorWords(TileKind kind);

// Packs a descriptor. Throws Error(kBadInput) naming the field and its limit
// where one does not fit: what would be cut off silently by a mask is an error
// here. Strides and iteration counts are stored less one; a mem tile's own
// memory and locks are the middle third of what its DMA sees, its neighbours'
// the thirds beside it (AM020, "Memory Tile DMA"); a length with
// padding counts the padded words. The highest dimension in use has no wrap:
// the length ends it.
std::vector<uint32_t> EncodeDescriptor(TileKind kind,
                                       const BufferDescriptor& descriptor);
// The inverse; `id` is not part of the words. Dimensions that the words leave
// open are 0 (not used) or computed from the length. Throws Error(kBadInput)
// for what the project does not use: compression, acquire-equal locks, a
// descriptor that is not valid.
BufferDescriptor DecodeDescriptor(TileKind kind,
                                  std::span<const uint32_t> words);

// Words of one dimension-by-dimension walk as the stream carries them: `words`
// grown by the padding.
int64_t StreamWords(const BufferDescriptor& descriptor);

// The header that an MM2S channel sends ahead of a descriptor's words (UG1603,
// "Packet Processing"): ID, type, source, and a bit that makes the ones odd.
uint32_t PacketHeader(TileId source, int id, int type);

// A task queue entry: run the chain at `descriptor` 1 + `repeat` times.
struct QueueEntry {
  int descriptor = 0;
  int repeat = 0;
  bool token = false;  // send a completion token after the last
  friend bool operator==(const QueueEntry&, const QueueEntry&) = default;
};
uint32_t EncodeQueueEntry(const QueueEntry& entry);
QueueEntry DecodeQueueEntry(TileKind kind, uint32_t word);

}  // namespace sotto::npu
