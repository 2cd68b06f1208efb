// SPDX-License-Identifier: MIT
#include "npu/registers.h"

#include <bit>
#include <string_view>

#include "base/error.h"
#include "npu/descriptor_layout.h"

namespace sotto::npu {
namespace {

// A mem tile's DMA sees the memory and locks of its western neighbour first,
// then its own, then its eastern neighbour's.
constexpr int64_t kMemBytes = 0x80000;
constexpr int kMemLocks = 64;
constexpr int kSides = 3;
constexpr uint32_t kShimBurst256 = 2;  // burst length: 256 bytes
constexpr uint32_t kShimAxCache = 2;

const char* Name(TileKind kind) {
  return kind == TileKind::kShim  ? "shim"
         : kind == TileKind::kMem ? "mem"
                                  : "core";
}

constexpr uint32_t MaskOf(const Field& field) {
  return field.bits >= 32 ? 0xFFFFFFFFU : (1U << field.bits) - 1;
}

class Packer {
 public:
  Packer(TileKind kind, int id, int words) : kind_(kind), id_(id) {
    words_.resize(static_cast<size_t>(words));
  }
  // A field without bits holds only 0.
  void Put(const Field& field, int64_t value, std::string_view what) {
    if (value < 0 || value > int64_t{MaskOf(field)}) {
      Fail(ErrorCode::kBadInput,
           "descriptor {} of a {} tile: {} is {}, want 0 to {}", id_,
           Name(kind_), what, value, MaskOf(field));
    }
    words_[static_cast<size_t>(field.word)] |= static_cast<uint32_t>(value)
                                               << field.low;
  }
  void PutSigned(const Field& field, int64_t value, std::string_view what) {
    const int64_t half = int64_t{1} << (field.bits - 1);
    if (value < -half || value >= half) {
      Fail(ErrorCode::kBadInput,
           "descriptor {} of a {} tile: {} is {}, want {} to {}", id_,
           Name(kind_), what, value, -half, half - 1);
    }
    Put(field, value & int64_t{MaskOf(field)}, what);
  }
  std::vector<uint32_t> Take() { return std::move(words_); }

 private:
  TileKind kind_;
  int id_;
  std::vector<uint32_t> words_;
};

uint32_t Get(std::span<const uint32_t> words, const Field& field) {
  if (field.bits == 0) return 0;
  return words[static_cast<size_t>(field.word)] >> field.low & MaskOf(field);
}

int GetSigned(std::span<const uint32_t> words, const Field& field) {
  const auto value = static_cast<int>(Get(words, field));
  const int half = 1 << (field.bits - 1);
  return value >= half ? value - 2 * half : value;
}

// How many dimensions a descriptor uses; 0: it is contiguous.
int DimsUsed(const BufferDescriptor& d) {
  int used = 0;
  for (int i = 0; i < 4; ++i) {
    if (d.dims[static_cast<size_t>(i)].size != 0) used = i + 1;
  }
  return used;
}

bool Pads(const BufferDescriptor& d) {
  for (size_t i = 0; i < 3; ++i) {
    if (d.pad_before[i] != 0 || d.pad_after[i] != 0) return true;
  }
  return false;
}

void CheckShape(TileKind kind, const BufferDescriptor& d) {
  const int used = DimsUsed(d);
  int64_t product = 1;
  for (int i = 0; i < used; ++i) {
    const DmaDim& dim = d.dims[static_cast<size_t>(i)];
    if (dim.size < 1 || dim.stride < 1) {
      Fail(ErrorCode::kBadInput,
           "descriptor {} of a {} tile: dimension {} has size {} and stride "
           "{}, want 1 or more",
           d.id, Name(kind), i, dim.size, dim.stride);
    }
    if (dim.size > int64_t{1} << 32) product = 0;
    product *= dim.size;
  }
  if (used > 0 && product != d.words) {
    Fail(ErrorCode::kBadInput,
         "descriptor {} of a {} tile: length is {} words, its dimensions make "
         "{}",
         d.id, Name(kind), d.words, product);
  }
  if (d.words < 1) {
    Fail(ErrorCode::kBadInput,
         "descriptor {} of a {} tile: length is {} words, want 1 or more", d.id,
         Name(kind), d.words);
  }
  for (size_t i = 0; i < 3; ++i) {
    if ((d.pad_before[i] != 0 || d.pad_after[i] != 0) && d.dims[i].size == 0) {
      Fail(ErrorCode::kBadInput,
           "descriptor {} of a {} tile: dimension {} is padded but not used",
           d.id, Name(kind), i);
    }
  }
}

void PutShape(const DescriptorLayout& layout, const BufferDescriptor& d,
              Packer* out) {
  static constexpr std::array<std::string_view, 4> kStride{
      "stride 0", "stride 1", "stride 2", "stride 3"};
  static constexpr std::array<std::string_view, 4> kSize{"size 0", "size 1",
                                                         "size 2", "size 3"};
  const int used = DimsUsed(d);
  int has = 0;
  while (has < 4 && layout.step[static_cast<size_t>(has)].bits != 0) ++has;
  if (used > has) {
    Fail(ErrorCode::kBadInput,
         "descriptor {}: uses {} dimensions, this tile's DMA has {}", d.id,
         used, has);
  }
  for (int i = 0; i < used; ++i) {
    const auto k = static_cast<size_t>(i);
    out->Put(layout.step[k], d.dims[k].stride - 1, kStride[k]);
    // Padding needs the wrap, even of the highest dimension.
    const bool open = i == used - 1 && (layout.wrap[k].bits == 0 || !Pads(d));
    if (!open) out->Put(layout.wrap[k], d.dims[k].size, kSize[k]);
  }
  for (size_t i = 0; i < 3; ++i) {
    out->Put(layout.pad_before[i], d.pad_before[i], "padding before");
    out->Put(layout.pad_after[i], d.pad_after[i], "padding after");
  }
  if (d.iteration.size > 1) {
    if (d.iteration.stride < 1) {
      Fail(ErrorCode::kBadInput,
           "descriptor {}: iteration has stride {}, want 1 or more", d.id,
           d.iteration.stride);
    }
    out->Put(layout.iteration_step, d.iteration.stride - 1, "iteration stride");
    out->Put(layout.iteration_wrap, d.iteration.size - 1, "iterations");
  }
}

void CheckSides(TileKind kind, const BufferDescriptor& d) {
  for (const int side : {d.memory_side, d.acquire_side, d.release_side}) {
    if (side == 0 || (kind == TileKind::kMem && (side == -1 || side == 1))) {
      continue;
    }
    Fail(ErrorCode::kBadInput, "descriptor {} of a {} tile: side {}, want {}",
         d.id, Name(kind), side, kind == TileKind::kMem ? "-1, 0 or 1" : "0");
  }
}

void PutPacket(const DescriptorLayout& layout, const BufferDescriptor& d,
               Packer* out) {
  if (d.packet < 0) return;
  out->Put(layout.packet, 1, "packet");
  out->Put(layout.packet_id, d.packet, "packet ID");
  out->Put(layout.packet_type, d.packet_type, "packet type");
}

void PutLocks(TileKind kind, const DescriptorLayout& layout,
              const BufferDescriptor& d, Packer* out) {
  const auto base = [kind](int side) {
    return kind == TileKind::kMem ? (1 + side) * kMemLocks : 0;
  };
  const int locks = LimitsOf(kind).locks;
  for (const int lock : {d.acquire_lock, d.release_lock}) {
    if (lock >= -1 && lock < locks) continue;
    Fail(ErrorCode::kBadInput,
         "descriptor {} of a {} tile: lock {}, want 0 to {}", d.id, Name(kind),
         lock, locks - 1);
  }
  if (d.acquire_lock >= 0) {
    out->Put(layout.acquire_enable, 1, "acquire");
    out->Put(layout.acquire_lock, d.acquire_lock + base(d.acquire_side),
             "acquire lock");
    // Negative: wait for at least that much.
    out->PutSigned(layout.acquire_value, -int64_t{d.acquire_value},
                   "acquire value");
  }
  if (d.release_lock >= 0) {
    out->Put(layout.release_lock, d.release_lock + base(d.release_side),
             "release lock");
    out->PutSigned(layout.release_value, d.release_value, "release value");
  }
}

void GetShape(const DescriptorLayout& layout, std::span<const uint32_t> words,
              BufferDescriptor* d) {
  const auto length = static_cast<int64_t>(Get(words, layout.length));
  int dims = 0;
  int64_t lower = 1;   // words of the dimensions below, without padding
  int64_t padded = 1;  // with it
  for (size_t i = 0; i < 4 && layout.step[i].bits != 0; ++i) {
    const int64_t stride = int64_t{Get(words, layout.step[i])} + 1;
    const int64_t wrap = Get(words, layout.wrap[i]);
    if (i < 3) {
      d->pad_before[i] = static_cast<int>(Get(words, layout.pad_before[i]));
      d->pad_after[i] = static_cast<int>(Get(words, layout.pad_after[i]));
    }
    if (wrap != 0) {
      d->dims[i] = {wrap, stride};
      lower *= wrap;
      padded *= wrap + (i < 3 ? d->pad_before[i] + d->pad_after[i] : 0);
      dims = static_cast<int>(i) + 1;
      continue;
    }
    // Open: takes the rest of the length. Stride 1 over nothing else is a
    // contiguous transfer.
    const int64_t rest = (length + padded - 1) / padded;
    if (rest > 1 && !(i == 0 && stride == 1)) {
      d->dims[i] = {rest, stride};
      lower *= rest;
      padded *= rest;
      dims = static_cast<int>(i) + 1;
    }
    break;
  }
  if (dims == 0) {
    d->words = length;
    return;
  }
  if (padded != length) {
    Fail(ErrorCode::kBadInput,
         "descriptor: length is {} words, its dimensions make {}", length,
         padded);
  }
  d->words = lower;
}

void CheckUnused(const DescriptorLayout& layout,
                 std::span<const uint32_t> words) {
  if (Get(words, layout.compression) != 0) {
    Fail(ErrorCode::kBadInput,
         "descriptor: compresses, which this array does not use");
  }
  if (Get(words, layout.valid) == 0) {
    Fail(ErrorCode::kBadInput, "descriptor: its valid bit is not set");
  }
}

void GetLocks(TileKind kind, const DescriptorLayout& layout,
              std::span<const uint32_t> words, BufferDescriptor* d) {
  const auto id = [&](const Field& field, int* side) {
    const int lock = static_cast<int>(Get(words, field));
    if (kind != TileKind::kMem) return lock;
    if (lock >= kSides * kMemLocks) {
      Fail(ErrorCode::kBadInput, "descriptor: lock {}, want 0 to {}", lock,
           kSides * kMemLocks - 1);
    }
    *side = lock / kMemLocks - 1;
    return lock % kMemLocks;
  };
  if (Get(words, layout.acquire_enable) != 0) {
    d->acquire_lock = id(layout.acquire_lock, &d->acquire_side);
    const int value = GetSigned(words, layout.acquire_value);
    if (value > 0) {
      Fail(ErrorCode::kBadInput,
           "descriptor: acquires lock {} when it equals {}, which this array "
           "does not use",
           d->acquire_lock, value);
    }
    d->acquire_value = -value;
  }
  const int release = GetSigned(words, layout.release_value);
  if (release != 0) {
    d->release_lock = id(layout.release_lock, &d->release_side);
    d->release_value = release;
  }
}

}  // namespace

int DescriptorWords(TileKind kind) { return LayoutOf(kind).words; }

int64_t StreamWords(const BufferDescriptor& d) {
  int64_t words = d.words;
  for (size_t i = 0; i < 3; ++i) {
    const int64_t pad = int64_t{d.pad_before[i]} + d.pad_after[i];
    if (pad == 0 || d.dims[i].size < 1) continue;
    words = words / d.dims[i].size * (d.dims[i].size + pad);
  }
  return words;
}

uint32_t PacketHeader(TileId source, int id, int type) {
  const auto bits = [](int value, int width, int low) {
    return (static_cast<uint32_t>(value) & ((1U << width) - 1)) << low;
  };
  const uint32_t header = bits(id, 5, 0) | bits(type, 3, 12) |
                          bits(source.row, 5, 16) | bits(source.col, 7, 21);
  return std::popcount(header) % 2 == 0 ? header | 0x80000000U : header;
}

std::vector<uint32_t> EncodeDescriptor(TileKind kind,
                                       const BufferDescriptor& d) {
  const DescriptorLayout& layout = LayoutOf(kind);
  CheckShape(kind, d);
  CheckSides(kind, d);
  Packer out(kind, d.id, layout.words);
  if (d.address < 0 || d.address % 4 != 0) {
    Fail(ErrorCode::kBadInput,
         "descriptor {} of a {} tile: address {:#x}, want a multiple of 4",
         d.id, Name(kind), d.address);
  }
  out.Put(layout.length, StreamWords(d), "length");
  if (kind == TileKind::kShim) {
    out.Put(layout.address, (d.address & 0xFFFFFFFF) >> 2, "address");
    out.Put(kShimAddressHigh, d.address >> 32, "address");
    out.Put(kShimBurst, kShimBurst256, "burst");
    out.Put(kShimCache, kShimAxCache, "cache bits");
  } else {
    if (d.address >= LimitsOf(kind).memory_bytes) {
      Fail(ErrorCode::kBadInput,
           "descriptor {} of a {} tile: address {:#x}, memory ends at {:#x}",
           d.id, Name(kind), d.address, LimitsOf(kind).memory_bytes);
    }
    const int64_t base =
        kind == TileKind::kMem ? (1 + d.memory_side) * kMemBytes : 0;
    out.Put(layout.address, (d.address + base) / 4, "address");
  }
  PutShape(layout, d, &out);
  PutPacket(layout, d, &out);
  PutLocks(kind, layout, d, &out);
  if (d.next >= 0) {
    out.Put(layout.use_next, 1, "next");
    out.Put(layout.next, d.next, "next descriptor");
  }
  out.Put(layout.valid, 1, "valid");
  return out.Take();
}

BufferDescriptor DecodeDescriptor(TileKind kind,
                                  std::span<const uint32_t> words) {
  const DescriptorLayout& layout = LayoutOf(kind);
  SOTTO_CHECK(words.size() >= static_cast<size_t>(layout.words));
  CheckUnused(layout, words);
  BufferDescriptor d;
  if (kind == TileKind::kShim) {
    d.address = int64_t{Get(words, layout.address)} << 2 |
                int64_t{Get(words, kShimAddressHigh)} << 32;
  } else {
    d.address = 4 * int64_t{Get(words, layout.address)};
    if (kind == TileKind::kMem) {
      if (d.address >= kSides * kMemBytes) {
        Fail(ErrorCode::kBadInput,
             "descriptor: address {:#x} is in no mem tile, want less than "
             "{:#x}",
             d.address, kSides * kMemBytes);
      }
      d.memory_side = static_cast<int>(d.address / kMemBytes) - 1;
      d.address %= kMemBytes;
    }
  }
  if (Get(words, layout.packet) != 0) {
    d.packet = static_cast<int>(Get(words, layout.packet_id));
    d.packet_type = static_cast<int>(Get(words, layout.packet_type));
  }
  GetShape(layout, words, &d);
  if (const uint32_t wrap = Get(words, layout.iteration_wrap); wrap != 0) {
    d.iteration = {int64_t{wrap} + 1,
                   int64_t{Get(words, layout.iteration_step)} + 1};
  }
  GetLocks(kind, layout, words, &d);
  if (Get(words, layout.use_next) != 0) {
    d.next = static_cast<int>(Get(words, layout.next));
  }
  return d;
}

}  // namespace sotto::npu
