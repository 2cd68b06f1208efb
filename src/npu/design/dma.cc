// SPDX-License-Identifier: MIT
// DMA channels, locks, and the chains of descriptors that move a ring's
// elements without being told.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "npu/design/draft.h"

namespace sotto::npu {
namespace {

const char* Name(Direction direction) {
  return direction == Direction::kS2MM ? "S2MM" : "MM2S";
}

// Descriptors of a mem tile belong to its channels by parity: 0..23 to even
// channels, 24..47 to odd ones.
int FirstDescriptor(TileKind kind, int channel) {
  return kind == TileKind::kMem && channel % 2 == 1 ? 24 : 0;
}
int EndDescriptor(TileKind kind, int channel) {
  const int all = LimitsOf(kind).buffer_descriptors;
  return kind == TileKind::kMem && channel % 2 == 0 ? all / 2 : all;
}

// Descriptors that an end's chain needs. A ring of one element that is sent
// several times runs one descriptor round and round.
int ChainLength(const Draft& draft, const End& end) {
  if (end.ring < 0) return 0;
  const Ring& ring = draft.rings[static_cast<size_t>(end.ring)];
  const int parts = end.part < 0 ? static_cast<int>(ring.parts.size()) : 1;
  if (ring.depth == 1 && parts == 1) return 1;
  const int repeat =
      end.direction == Direction::kMM2S ? ring.parts[0].takes : 1;
  return ring.depth * repeat * parts;
}

class Assigner {
 public:
  explicit Assigner(Draft* draft) : draft_(*draft) {}

  void Run() {
    for (const NamedLock& lock : draft_.design->locks) {
      draft_.lock_ids[lock.name] = TakeLock(lock.tile, lock.initial, lock.name);
    }
    for (Ring& ring : draft_.rings) AddLocks(&ring);
    // Ends that ask for a channel first, so that nobody else takes it.
    for (const bool asks : {true, false}) {
      for (End& end : draft_.ends) {
        if (end.fifo->shared || (end.spec->channel >= 0) != asks) continue;
        TakeChannel(&end);
      }
    }
    for (End& end : draft_.ends) {
      if (end.ring >= 0 && !end.fifo->shared) AddChain(end);
    }
  }

 private:
  int TakeLock(TileId tile, int initial, const std::string& name) {
    TileConfig& config = draft_.tile(tile);
    const int limit = LimitsOf(KindOf(tile)).locks;
    if (static_cast<int>(config.locks.size()) == limit) {
      Refuse(draft_, fmt::format("{}: lock {} is one too many, there are {}",
                                 Label(tile), name, limit));
    }
    if (initial < 0 || initial > kMaxLockValue) {
      Refuse(draft_, fmt::format("{}: lock {} starts at {}, want 0..{}",
                                 Label(tile), name, initial, kMaxLockValue));
    }
    const int id = static_cast<int>(config.locks.size());
    config.locks.push_back({.id = id, .value = initial, .name = name});
    return id;
  }

  void AddLocks(Ring* ring) {
    for (size_t i = 0; i < ring->parts.size(); ++i) {
      Ring::Part& part = ring->parts[i];
      const std::string name = ring->parts.size() == 1
                                   ? ring->name
                                   : fmt::format("{}.part{}", ring->name, i);
      part.empty_lock =
          TakeLock(ring->tile, ring->depth * part.takes, name + ".empty");
      part.full_lock = TakeLock(ring->tile, 0, name + ".full");
    }
  }

  void TakeChannel(End* end) {
    const TileId tile = end->spec->tile;
    const TileKind kind = KindOf(tile);
    const int channels = LimitsOf(kind).dma_channels;
    std::set<int>& taken = channels_[{tile, end->direction}];
    const int need = ChainLength(draft_, *end);
    if (end->spec->channel >= 0) {
      if (end->spec->channel >= channels ||
          !taken.insert(end->spec->channel).second) {
        Refuse(draft_,
               fmt::format("{}: {} channel {} is taken or not there, want one "
                           "of 0..{}",
                           end->Label(), Name(end->direction),
                           end->spec->channel, channels - 1));
      }
      end->channel = end->spec->channel;
    }
    // The first free one; on a mem tile the first whose descriptors suffice.
    for (int c = 0; c < channels && end->channel < 0; ++c) {
      if (taken.contains(c) || Free(tile, c) < need) continue;
      taken.insert(c);
      end->channel = c;
    }
    if (end->channel < 0) {
      if (static_cast<int>(taken.size()) == channels) {
        Refuse(draft_, fmt::format("{}: {} wants one more {} channel, there "
                                   "are {}",
                                   Label(tile), end->Label(),
                                   Name(end->direction), channels));
      }
      RefuseDescriptors(*end, need);
    }
    if (Free(tile, end->channel) < need) RefuseDescriptors(*end, need);
    used_[{tile, Group(tile, end->channel)}] += need;
  }

  [[noreturn]] void RefuseDescriptors(const End& end, int need) {
    const TileId tile = end.spec->tile;
    Refuse(draft_,
           fmt::format("{}: {} needs {} buffer descriptors, {} are free",
                       Label(tile), end.Label(), need,
                       Free(tile, std::max(end.channel, 0))));
  }

  int Group(TileId tile, int channel) const {
    return FirstDescriptor(KindOf(tile), channel);
  }
  int Free(TileId tile, int channel) {
    const TileKind kind = KindOf(tile);
    return EndDescriptor(kind, channel) - FirstDescriptor(kind, channel) -
           used_[{tile, Group(tile, channel)}];
  }

  void AddChain(const End& end) {
    const Ring& ring = draft_.rings[static_cast<size_t>(end.ring)];
    TileConfig& config = draft_.tile(ring.tile);
    const bool sends = end.direction == Direction::kMM2S;
    const int length = ChainLength(draft_, end);
    const int first = next_[{ring.tile, Group(ring.tile, end.channel)}] +
                      Group(ring.tile, end.channel);
    next_[{ring.tile, Group(ring.tile, end.channel)}] += length;
    const size_t parts = end.part < 0 ? ring.parts.size() : 1;
    const size_t repeat = length == 1
                              ? 1
                              : static_cast<size_t>(length) /
                                    (static_cast<size_t>(ring.depth) * parts);
    for (int i = 0; i < length; ++i) {
      const size_t at = static_cast<size_t>(i);
      const size_t element = at / (repeat * parts);
      const Ring::Part& part =
          ring.parts[end.part >= 0 ? static_cast<size_t>(end.part)
                                   : at % parts];
      BufferDescriptor bd{.id = first + i};
      bd.address = ring.addresses[element] + part.offset;
      bd.words = part.bytes / 4;
      std::copy(
          end.spec->dims.begin(),
          end.spec->dims.begin() +
              static_cast<int>(std::min(end.spec->dims.size(), bd.dims.size())),
          bd.dims.begin());
      bd.pad_before = end.spec->pad_before;
      bd.pad_after = end.spec->pad_after;
      bd.acquire_lock = sends ? part.full_lock : part.empty_lock;
      bd.acquire_value = sends ? 1 : part.takes;
      bd.release_lock = sends ? part.empty_lock : part.full_lock;
      bd.release_value = sends ? 1 : part.takes;
      bd.next = i + 1 < length ? bd.id + 1 : first;
      if (end.spec->dims.size() > bd.dims.size()) {
        Refuse(draft_,
               fmt::format("{}: {} dimensions, want at most {}", end.Label(),
                           end.spec->dims.size(), bd.dims.size()));
      }
      CheckDescriptor(draft_, ring.tile, end.Label(), bd, end.direction);
      config.descriptors.push_back(bd);
    }
    config.starts.push_back({.direction = end.direction,
                             .channel = end.channel,
                             .first_bd = first});
  }

  Draft& draft_;
  std::map<std::pair<TileId, Direction>, std::set<int>> channels_;
  std::map<std::pair<TileId, int>, int> used_;  // descriptors, by group
  std::map<std::pair<TileId, int>, int> next_;
};

// aie-rt: bits of the pads of a mem tile's three inner dimensions.
constexpr int kMaxPad[] = {63, 31, 15};

void CheckDims(const Draft& draft, TileId tile, const std::string& who,
               const BufferDescriptor& bd) {
  const TileLimits limits = LimitsOf(KindOf(tile));
  int64_t words = 1;
  bool any = false;
  for (size_t d = 0; d < bd.dims.size(); ++d) {
    const DmaDim& dim = bd.dims[d];
    if (dim.size == 0) continue;
    any = true;
    words *= dim.size;
    const bool last = static_cast<int>(d) == limits.dma_dims - 1;
    if (static_cast<int>(d) >= limits.dma_dims) {
      Refuse(draft, fmt::format("{}: {} dimensions, a {} has {}", who, d + 1,
                                Label(tile), limits.dma_dims));
    }
    // The size of the outermost dimension follows from the length.
    if (dim.size < 0 || (!last && dim.size > limits.max_wrap)) {
      Refuse(draft, fmt::format("{}: dimension {} of size {}, want 1..{}", who,
                                d, dim.size, limits.max_wrap));
    }
    if (dim.size > 1 && (dim.stride < 1 || dim.stride > limits.max_step)) {
      Refuse(draft, fmt::format("{}: dimension {} with a stride of {} words, "
                                "want 1..{}",
                                who, d, dim.stride, limits.max_step));
    }
  }
  if (any && words != bd.words) {
    Refuse(draft, fmt::format("{}: dimensions give {} words, the transfer has "
                              "{}",
                              who, words, bd.words));
  }
}

}  // namespace

void CheckDescriptor(const Draft& draft, TileId tile, const std::string& who,
                     const BufferDescriptor& bd, Direction direction) {
  const TileLimits limits = LimitsOf(KindOf(tile));
  if (bd.words < 1 || bd.words > limits.max_words) {
    Refuse(draft, fmt::format("{}: transfer of {} words, want 1..{}", who,
                              bd.words, limits.max_words));
  }
  CheckDims(draft, tile, who, bd);
  if (bd.iteration.size < 0 || bd.iteration.size > limits.max_iterations ||
      bd.iteration.stride > limits.max_step) {
    Refuse(draft, fmt::format("{}: iteration of {} by {} words, want at most "
                              "{} by {}",
                              who, bd.iteration.size, bd.iteration.stride,
                              limits.max_iterations, limits.max_step));
  }
  for (size_t d = 0; d < 3; ++d) {
    const int pad = std::max(bd.pad_before[d], bd.pad_after[d]);
    if (pad == 0) continue;
    if (!limits.pads || direction != Direction::kMM2S) {
      Refuse(draft,
             fmt::format("{}: only what a mem tile sends can be padded", who));
    }
    if (pad > kMaxPad[d] || bd.dims[d].size == 0) {
      Refuse(draft, fmt::format("{}: pad of {} in dimension {}, want at most "
                                "{} and a size there",
                                who, pad, d, kMaxPad[d]));
    }
  }
  for (const int value : {bd.acquire_value, bd.release_value}) {
    if (value < 0 || value > kMaxLockValue) {
      Refuse(draft, fmt::format("{}: lock value {}, want 0..{}", who, value,
                                kMaxLockValue));
    }
  }
}

void AssignDma(Draft* draft) { Assigner(draft).Run(); }

}  // namespace sotto::npu
