// SPDX-License-Identifier: MIT
#include "base/error.h"
#include "npu/registers.h"

namespace sotto::npu {
namespace {

// Where one kind of tile keeps its registers, in bytes from the tile's start.
struct Map {
  uint32_t descriptors;
  uint32_t queues[2];  // control registers of channel 0; S2MM, MM2S
  uint32_t locks;
};
constexpr uint32_t kDescriptorPitch = 0x20;
constexpr uint32_t kChannelPitch = 8;  // control register, then the queue
constexpr uint32_t kLockPitch = 0x10;
constexpr uint32_t kCoreControl = 0x32000;

constexpr Map MapOf(TileKind kind) {
  switch (kind) {
    case TileKind::kShim:
      return {0x1D000, {0x1D200, 0x1D210}, 0x14000};
    case TileKind::kMem:
      return {0xA0000, {0xA0600, 0xA0630}, 0xC0000};
    case TileKind::kCore:
      return {0x1D000, {0x1DE00, 0x1DE10}, 0x1F000};
  }
  return {};
}

void CheckTile(TileId tile) {
  SOTTO_CHECK(tile.col >= 0 && tile.col < kColumns && tile.row >= 0 &&
              tile.row < kRows);
}

}  // namespace

RegisterAddress LocateRegister(uint32_t address) {
  RegisterAddress where;
  where.tile = {static_cast<int>(address >> 25),
                static_cast<int>(address >> 20 & 0x1F)};
  where.offset = address & 0xFFFFF;
  if (where.tile.col >= kColumns || where.tile.row >= kRows ||
      address % 4 != 0) {
    return where;
  }
  const TileKind kind = KindOf(where.tile);
  const TileLimits limits = LimitsOf(kind);
  const Map map = MapOf(kind);
  const uint32_t at = where.offset;
  if (at < limits.memory_bytes) {
    where.kind = RegisterAddress::Kind::kData;
    return where;
  }
  const auto within = [at](uint32_t start, uint32_t pitch, int count) {
    return at >= start && at < start + pitch * static_cast<uint32_t>(count);
  };
  if (within(map.descriptors, kDescriptorPitch, limits.buffer_descriptors)) {
    where.index = static_cast<int>((at - map.descriptors) / kDescriptorPitch);
    where.word =
        static_cast<int>((at - map.descriptors) % kDescriptorPitch / 4);
    if (where.word < DescriptorWords(kind)) {
      where.kind = RegisterAddress::Kind::kDescriptor;
    }
    return where;
  }
  for (const Direction direction : {Direction::kS2MM, Direction::kMM2S}) {
    const uint32_t start = map.queues[static_cast<int>(direction)];
    if (!within(start, kChannelPitch, limits.dma_channels)) continue;
    where.direction = direction;
    where.index = static_cast<int>((at - start) / kChannelPitch);
    where.kind = (at - start) % kChannelPitch == 0
                     ? RegisterAddress::Kind::kControl
                     : RegisterAddress::Kind::kQueue;
    return where;
  }
  if (within(map.locks, kLockPitch, limits.locks) &&
      (at - map.locks) % kLockPitch == 0) {
    where.index = static_cast<int>((at - map.locks) / kLockPitch);
    where.kind = RegisterAddress::Kind::kLock;
  } else if (kind == TileKind::kCore && at == kCoreControl) {
    where.kind = RegisterAddress::Kind::kCoreControl;
  }
  return where;
}

uint32_t DescriptorAddress(TileId tile, int descriptor) {
  CheckTile(tile);
  return TileBase(tile) + MapOf(KindOf(tile)).descriptors +
         kDescriptorPitch * static_cast<uint32_t>(descriptor);
}

uint32_t ControlAddress(TileId tile, Direction direction, int channel) {
  CheckTile(tile);
  return TileBase(tile) +
         MapOf(KindOf(tile)).queues[static_cast<int>(direction)] +
         kChannelPitch * static_cast<uint32_t>(channel);
}

uint32_t QueueAddress(TileId tile, Direction direction, int channel) {
  return ControlAddress(tile, direction, channel) + 4;
}

uint32_t LockAddress(TileId tile, int lock) {
  CheckTile(tile);
  return TileBase(tile) + MapOf(KindOf(tile)).locks +
         kLockPitch * static_cast<uint32_t>(lock);
}

uint32_t DataAddress(TileId tile, int64_t byte) {
  CheckTile(tile);
  return TileBase(tile) + static_cast<uint32_t>(byte);
}

uint32_t EncodeQueueEntry(const QueueEntry& entry) {
  if (entry.repeat < 0 || entry.repeat > 255) {
    Fail(ErrorCode::kBadInput,
         "task of descriptor {}: repeat {}, want 0 to 255", entry.descriptor,
         entry.repeat);
  }
  return static_cast<uint32_t>(entry.token) << 31 |
         static_cast<uint32_t>(entry.repeat) << 16 |
         static_cast<uint32_t>(entry.descriptor);
}

QueueEntry DecodeQueueEntry(TileKind kind, uint32_t word) {
  const uint32_t mask = kind == TileKind::kMem ? 0x3F : 0xF;
  return {.descriptor = static_cast<int>(word & mask),
          .repeat = static_cast<int>(word >> 16 & 0xFF),
          .token = (word >> 31) != 0};
}

}  // namespace sotto::npu
