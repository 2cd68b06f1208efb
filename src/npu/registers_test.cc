// SPDX-License-Identifier: MIT
#include "npu/registers.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "base/error.h"

namespace sotto::npu {
namespace {

// Random descriptors that fit a kind of tile, up to the widths of its fields.
BufferDescriptor RandomDescriptor(TileKind kind, std::mt19937* random) {
  const TileLimits limits = LimitsOf(kind);
  const auto up_to = [&](int64_t n) {
    return static_cast<int64_t>((*random)() % static_cast<uint64_t>(n + 1));
  };
  BufferDescriptor d;
  d.address = kind == TileKind::kShim ? 4 * up_to((int64_t{1} << 44))
                                      : 4 * up_to(limits.memory_bytes / 4 - 1);
  const auto dims = static_cast<size_t>(up_to(limits.dma_dims));
  const int64_t budget = std::min<int64_t>(limits.max_words, 1 << 20);
  d.words = 1;
  for (size_t i = 0; i < dims; ++i) {
    const int64_t room = std::min<int64_t>(limits.max_wrap, budget / d.words);
    d.dims[i] = {1 + up_to(std::min<int64_t>(room, 30) - 1),
                 1 + up_to(limits.max_step - 1)};
    d.words *= d.dims[i].size;
  }
  if (dims == 0) d.words = 1 + up_to(budget - 1);
  if (limits.pads && dims == 4 && d.words < 1000) {
    d.pad_before = {static_cast<int>(up_to(3)), 1, 0};
    d.pad_after = {0, static_cast<int>(up_to(3)), 2};
  }
  if (up_to(1) != 0) d.iteration = {2 + up_to(62), 1 + up_to(4000)};
  if (up_to(1) != 0) {
    d.acquire_lock = static_cast<int>(up_to(limits.locks - 1));
    d.acquire_value = static_cast<int>(up_to(kMaxLockValue));
  }
  if (up_to(1) != 0) {
    d.release_lock = static_cast<int>(up_to(limits.locks - 1));
    d.release_value = 1 + static_cast<int>(up_to(kMaxLockValue - 1));
  }
  if (kind == TileKind::kMem) {
    d.memory_side = static_cast<int>(up_to(2)) - 1;
    if (d.acquire_lock >= 0) d.acquire_side = static_cast<int>(up_to(2)) - 1;
    if (d.release_lock >= 0) d.release_side = static_cast<int>(up_to(2)) - 1;
  }
  if (up_to(1) != 0) {
    d.packet = static_cast<int>(up_to(31));
    d.packet_type = static_cast<int>(up_to(7));
  }
  if (up_to(1) != 0) {
    d.next = static_cast<int>(up_to(limits.buffer_descriptors - 1));
  }
  return d;
}

// Equal as the DMA walks memory: a highest dimension of 1 is no dimension, and
// a single dimension of stride 1 is contiguous.
BufferDescriptor Canonical(BufferDescriptor d) {
  for (size_t i = 4; i-- > 0;) {
    if (d.dims[i].size > 1) break;
    if (i < 3 && (d.pad_before[i] != 0 || d.pad_after[i] != 0)) break;
    d.dims[i] = {};
  }
  if (d.dims[1].size == 0 && d.dims[0].stride == 1) d.dims[0] = {};
  if (d.acquire_lock < 0) d.acquire_value = 1;
  if (d.release_lock < 0) d.release_value = 1;
  return d;
}

TEST(Registers, DescriptorsRoundTrip) {
  std::mt19937 random(5);
  for (const TileKind kind :
       {TileKind::kShim, TileKind::kMem, TileKind::kCore}) {
    for (int i = 0; i < 2000; ++i) {
      const BufferDescriptor want = Canonical(RandomDescriptor(kind, &random));
      const auto words = EncodeDescriptor(kind, want);
      ASSERT_EQ(words.size(), static_cast<size_t>(DescriptorWords(kind)));
      const BufferDescriptor got = Canonical(DecodeDescriptor(kind, words));
      EXPECT_EQ(EncodeDescriptor(kind, got), words);
      EXPECT_EQ(got.address, want.address);
      EXPECT_EQ(got.words, want.words);
      EXPECT_EQ(got.pad_before, want.pad_before);
      EXPECT_EQ(got.next, want.next);
      EXPECT_EQ(got.acquire_lock, want.acquire_lock);
      EXPECT_EQ(got.acquire_value, want.acquire_value);
      EXPECT_EQ(got.release_lock, want.release_lock);
      EXPECT_EQ(got.release_value, want.release_value);
      EXPECT_EQ(got.iteration.size, want.iteration.size);
      EXPECT_EQ(StreamWords(got), StreamWords(want));
      EXPECT_EQ(got.memory_side, want.memory_side);
      EXPECT_EQ(got.acquire_side, want.acquire_side);
      EXPECT_EQ(got.release_side, want.release_side);
      EXPECT_EQ(got.packet, want.packet);
      EXPECT_EQ(got.packet_type, want.packet_type);
    }
  }
}

// The published single-tile stream's descriptor.
TEST(Registers, LinearShimDescriptorIsThePublishedOne) {
  BufferDescriptor d{.words = 0xC00};
  EXPECT_EQ(EncodeDescriptor(TileKind::kShim, d),
            (std::vector<uint32_t>{0xC00, 0, 0, 0, 0x80000000, 0x02000000, 0,
                                   0x02000000}));
}

// By hand from AM025's bit fields: Enable_Packet, Packet_ID, Packet_Type.
TEST(Registers, PacketFieldsAreWhereTheManualHasThem) {
  const BufferDescriptor d{.words = 12, .packet = 5, .packet_type = 2};
  // DMA_BD0_1 of a core: bits 30, 23:19, 18:16.
  EXPECT_EQ(EncodeDescriptor(TileKind::kCore, d)[1], 0x402A0000U);
  // DMA_BD0_0 of a mem tile: bits 31, 27:23, 30:28; the length below.
  EXPECT_EQ(EncodeDescriptor(TileKind::kMem, d)[0], 0xA280000CU);
  // DMA_BD0_2 of a shim tile: as a core's word 1.
  EXPECT_EQ(EncodeDescriptor(TileKind::kShim, d)[2], 0x402A0000U);
}

// By hand from UG1603's table: ID 4:0, type 14:12, row 20:16, column 27:21,
// and bit 31 so that the ones are odd.
TEST(Registers, PacketHeadersAreTheManuals) {
  EXPECT_EQ(PacketHeader({1, 3}, 5, 2), 0x80232005U);   // six ones and it
  EXPECT_EQ(PacketHeader({0, 2}, 1, 0), 0x80020001U);   // two and it
  EXPECT_EQ(PacketHeader({0, 2}, 3, 0), 0x00020003U);   // three
  EXPECT_EQ(PacketHeader({3, 5}, 31, 7), 0x8065701FU);  // 2+2+3+5 and it
}

// By hand from AM020's table of a mem tile's DMA: west 0 to 0x7FFFF and locks 0
// to 63, own from 0x80000 and 64, east from 0x100000 and 128.
TEST(Registers, MemTilesReachBothSides) {
  BufferDescriptor d{.address = 0x1000,
                     .words = 12,
                     .acquire_lock = 3,
                     .release_lock = 4,
                     .memory_side = 1,
                     .acquire_side = 1,
                     .release_side = -1};
  const auto words = EncodeDescriptor(TileKind::kMem, d);
  EXPECT_EQ(words[1] & 0x7FFFF, 0x101000U / 4);
  EXPECT_EQ(words[7] & 0xFF, 128U + 3);
  EXPECT_EQ(words[7] >> 16 & 0xFF, 4U);
  d.memory_side = -1;
  EXPECT_EQ(EncodeDescriptor(TileKind::kMem, d)[1] & 0x7FFFF, 0x1000U / 4);
}

TEST(Registers, AddressesLocateThemselves) {
  for (int col = 0; col < kColumns; ++col) {
    for (int row = 0; row < kRows; ++row) {
      const TileId tile{col, row};
      const TileLimits limits = LimitsOf(KindOf(tile));
      for (int i = 0; i < limits.buffer_descriptors; ++i) {
        const auto at = LocateRegister(DescriptorAddress(tile, i) + 8);
        EXPECT_EQ(at.kind, RegisterAddress::Kind::kDescriptor);
        EXPECT_EQ(at.tile, tile);
        EXPECT_EQ(at.index, i);
        EXPECT_EQ(at.word, 2);
      }
      for (int i = 0; i < limits.locks; ++i) {
        const auto at = LocateRegister(LockAddress(tile, i));
        EXPECT_EQ(at.kind, RegisterAddress::Kind::kLock);
        EXPECT_EQ(at.index, i);
      }
      for (int i = 0; i < limits.dma_channels; ++i) {
        for (const auto direction : {Direction::kS2MM, Direction::kMM2S}) {
          const auto at = LocateRegister(QueueAddress(tile, direction, i));
          EXPECT_EQ(at.kind, RegisterAddress::Kind::kQueue);
          EXPECT_EQ(at.direction, direction);
          EXPECT_EQ(at.index, i);
        }
      }
    }
  }
  EXPECT_EQ(QueueAddress({0, 0}, Direction::kMM2S, 0), 0x1D214U);
  EXPECT_EQ(ControlAddress({0, 0}, Direction::kS2MM, 0), 0x1D200U);
  EXPECT_EQ(LocateRegister(TileBase({0, 0}) + 0x100).kind,
            RegisterAddress::Kind::kNone);
}

TEST(Registers, QueueEntriesRoundTrip) {
  const QueueEntry entry{.descriptor = 13, .repeat = 200, .token = true};
  EXPECT_EQ(DecodeQueueEntry(TileKind::kShim, EncodeQueueEntry(entry)), entry);
  EXPECT_EQ(EncodeQueueEntry({.descriptor = 0, .token = true}), 0x80000000U);
}

void ExpectRefused(TileKind kind, const BufferDescriptor& d,
                   const std::string& want) {
  try {
    EncodeDescriptor(kind, d);
    FAIL() << "accepted, want " << want;
  } catch (const Error& error) {
    EXPECT_EQ(error.what(), want);
  }
}

TEST(Registers, FieldsThatDoNotFitAreNamed) {
  ExpectRefused(
      TileKind::kCore, {.id = 3, .words = 20000},
      "descriptor 3 of a core tile: length is 20000, want 0 to 16383");
  ExpectRefused(TileKind::kCore, {.words = 4, .memory_side = 1},
                "descriptor 0 of a core tile: side 1, want 0");
  ExpectRefused(TileKind::kMem, {.words = 4, .acquire_side = 2},
                "descriptor 0 of a mem tile: side 2, want -1, 0 or 1");
  ExpectRefused(TileKind::kMem, {.words = 4, .packet = 32},
                "descriptor 0 of a mem tile: packet ID is 32, want 0 to 31");
  ExpectRefused(TileKind::kCore, {.words = 4, .acquire_lock = 16},
                "descriptor 0 of a core tile: lock 16, want 0 to 15");
  BufferDescriptor wide{.words = 600};
  wide.dims = {{{300, 1}, {2, 300}}};
  ExpectRefused(TileKind::kCore, wide,
                "descriptor 0 of a core tile: size 0 is 300, want 0 to 255");
  BufferDescriptor wrong{.words = 5};
  wrong.dims = {{{2, 1}, {2, 8}}};
  ExpectRefused(
      TileKind::kMem, wrong,
      "descriptor 0 of a mem tile: length is 5 words, its dimensions make 4");
  BufferDescriptor deep{.words = 16};
  deep.dims = {{{2, 1}, {2, 2}, {2, 4}, {2, 8}}};
  ExpectRefused(TileKind::kShim, deep,
                "descriptor 0: uses 4 dimensions, this tile's DMA has 3");
}

}  // namespace
}  // namespace sotto::npu
