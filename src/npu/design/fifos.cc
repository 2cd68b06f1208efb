// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <set>

#include "base/error.h"
#include "npu/design/draft.h"

namespace sotto::npu {
namespace {

bool Inside(TileId tile) {
  return tile.col >= 0 && tile.col < kColumns && tile.row >= 0 &&
         tile.row < kRows;
}

void CheckEnd(const Draft& draft, const End& end) {
  const FifoEnd& spec = *end.spec;
  if (!Inside(spec.tile)) {
    Refuse(draft, fmt::format("{}: no such tile, want columns 0..{} and rows "
                              "0..{}",
                              end.Label(), kColumns - 1, kRows - 1));
  }
  if (end.element_bytes <= 0 || end.element_bytes % 4 != 0) {
    Refuse(draft, fmt::format("{}: elements of {} bytes, want a multiple of 4",
                              end.Label(), end.element_bytes));
  }
  if (spec.depth < 1) {
    Refuse(draft, fmt::format("{}: depth {}, want 1 or more", end.Label(),
                              spec.depth));
  }
}

void AddEnds(Draft* draft, const Fifo& fifo) {
  if (fifo.consumers.empty()) {
    Refuse(*draft, fmt::format("fifo {}: has no consumer", fifo.name));
  }
  if (!draft->first_end.emplace(fifo.name, draft->ends.size()).second) {
    Refuse(*draft,
           fmt::format("fifo {}: there are two of the name", fifo.name));
  }
  for (int i = -1; i < static_cast<int>(fifo.consumers.size()); ++i) {
    const FifoEnd& spec =
        i < 0 ? fifo.producer : fifo.consumers[static_cast<size_t>(i)];
    End end{.fifo = &fifo, .spec = &spec, .consumer = i};
    end.direction = i < 0 ? Direction::kMM2S : Direction::kS2MM;
    end.element_bytes =
        spec.element_bytes > 0 ? spec.element_bytes : fifo.element_bytes;
    CheckEnd(*draft, end);
    draft->ends.push_back(end);
  }
}

// A FIFO may end at a tile twice.
int AddRing(Draft* draft, Ring ring, int consumer) {
  for (const Ring& other : draft->rings) {
    if (other.tile == ring.tile && other.name == ring.name) {
      ring.name = fmt::format("{}#{}", ring.name, consumer);
      break;
    }
  }
  draft->rings.push_back(std::move(ring));
  return static_cast<int>(draft->rings.size()) - 1;
}

// The ring of a core's end, or of a FIFO shared by two cores.
void AddCoreRing(Draft* draft, End* end) {
  const int takes = end->consumer < 0 ? end->fifo->repeat : 1;
  Ring ring{.name = end->fifo->name,
            .tile = end->spec->tile,
            .depth = end->spec->depth,
            .element_bytes = end->element_bytes,
            .contiguous = end->spec->contiguous};
  ring.parts.push_back({.bytes = end->element_bytes, .takes = takes});
  end->ring = AddRing(draft, std::move(ring), end->consumer);
}

void AddShared(Draft* draft, const Fifo& fifo) {
  End& producer = draft->EndOf(fifo, -1);
  End& consumer = draft->EndOf(fifo, 0);
  const TileId from = producer.spec->tile;
  const TileId to = consumer.spec->tile;
  if (fifo.consumers.size() != 1 || !IsCore(from) || !IsCore(to) ||
      MemoryWindow(to, from) == 0) {
    Refuse(*draft,
           fmt::format("fifo {}: shared from {} to {}, want one consumer, a "
                       "core that reaches the producer's memory (from the "
                       "north, south or east of it)",
                       fifo.name, from.ToString(), to.ToString()));
  }
  if (fifo.repeat != 1 || producer.element_bytes != consumer.element_bytes) {
    Refuse(*draft, fmt::format("fifo {}: shared, so elements are alike at both "
                               "ends and not repeated",
                               fifo.name));
  }
  AddCoreRing(draft, &producer);
  consumer.ring = producer.ring;
}

struct LinkEnds {
  std::vector<End*> in;
  std::vector<End*> out;
};

LinkEnds EndsOf(Draft* draft, const Link& link) {
  LinkEnds ends;
  for (const Link::In& in : link.in) {
    const Fifo& fifo = draft->FifoNamed(in.fifo);
    if (in.consumer < 0 ||
        in.consumer >= static_cast<int>(fifo.consumers.size())) {
      Refuse(*draft, fmt::format("link of fifo {}: no consumer {}, there are "
                                 "{}",
                                 in.fifo, in.consumer, fifo.consumers.size()));
    }
    ends.in.push_back(&draft->EndOf(fifo, in.consumer));
  }
  for (const std::string& out : link.out) {
    ends.out.push_back(&draft->EndOf(draft->FifoNamed(out), -1));
  }
  return ends;
}

// The single end on one side and the parts on the other.
void AddLink(Draft* draft, const Link& link) {
  const LinkEnds ends = EndsOf(draft, link);
  if (ends.in.empty() || ends.out.empty() ||
      (ends.in.size() > 1 && ends.out.size() > 1)) {
    Refuse(*draft, fmt::format("link: {} in and {} out, want one on a side",
                               ends.in.size(), ends.out.size()));
  }
  const bool join = ends.in.size() > 1;
  End& whole = join ? *ends.out[0] : *ends.in[0];
  const std::vector<End*>& pieces = join ? ends.in : ends.out;
  const TileId tile = whole.spec->tile;
  for (const auto* side : {&ends.in, &ends.out}) {
    for (const End* end : *side) {
      if (end->spec->tile == tile && KindOf(tile) == TileKind::kMem &&
          end->ring < 0 && !end->spec->by_tasks) {
        continue;
      }
      Refuse(*draft, fmt::format("link: {} cannot be linked with {}, want ends "
                                 "in one mem tile, each in one link",
                                 end->Label(), whole.Label()));
    }
  }
  Ring ring{.name = whole.fifo->name,
            .tile = tile,
            .depth = whole.spec->depth,
            .element_bytes = whole.element_bytes};
  std::vector<size_t> order(pieces.size());
  std::iota(order.begin(), order.end(), size_t{0});
  if (pieces.size() > 1) {
    if (link.offsets.size() != pieces.size()) {
      Refuse(*draft,
             fmt::format("link of {}: {} offsets for {} parts", whole.Label(),
                         link.offsets.size(), pieces.size()));
    }
    std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
      return link.offsets[a] < link.offsets[b];
    });
  }
  int64_t at = 0;
  for (const size_t i : order) {
    End& piece = *pieces[i];
    const int64_t offset = pieces.size() > 1 ? link.offsets[i] : 0;
    if (offset != at) {
      Refuse(*draft, fmt::format("link of {}: part {} starts at {}, want {}: "
                                 "parts cover the element without gaps",
                                 whole.Label(), piece.fifo->name, offset, at));
    }
    const End& sender = join ? whole : piece;
    ring.parts.push_back({.offset = offset,
                          .bytes = piece.element_bytes,
                          .takes = sender.fifo->repeat});
    piece.part = static_cast<int>(ring.parts.size()) - 1;
    at += piece.element_bytes;
  }
  if (at != whole.element_bytes) {
    Refuse(*draft, fmt::format("link of {}: parts are {} bytes together, the "
                               "element has {}",
                               whole.Label(), at, whole.element_bytes));
  }
  const int added = AddRing(draft, std::move(ring), whole.consumer);
  for (const auto* side : {&ends.in, &ends.out}) {
    for (End* end : *side) end->ring = added;
  }
}

// Links are found by any of their FIFOs; each makes its ring once, where the
// first of its FIFOs stands, so that maps follow the order of the FIFOs.
const Link* LinkOf(const Draft& draft, const End& end) {
  for (const Link& link : draft.design->links) {
    if (end.consumer < 0) {
      if (std::count(link.out.begin(), link.out.end(), end.fifo->name) > 0) {
        return &link;
      }
      continue;
    }
    for (const Link::In& in : link.in) {
      if (in.fifo == end.fifo->name && in.consumer == end.consumer) {
        return &link;
      }
    }
  }
  return nullptr;
}

void AddRingOf(Draft* draft, End* end) {
  if (end->ring >= 0 || end->spec->by_tasks) return;
  const TileKind kind = KindOf(end->spec->tile);
  if (kind == TileKind::kShim) return;
  if (kind == TileKind::kCore) return AddCoreRing(draft, end);
  const Link* link = LinkOf(*draft, *end);
  if (link == nullptr) {
    Refuse(*draft, fmt::format("{}: a mem tile's end that no link takes up and "
                               "no task moves",
                               end->Label()));
  }
  AddLink(draft, *link);
}

void AddStatics(Draft* draft) {
  std::set<std::string, std::less<>> names;
  for (const StaticBuffer& buffer : draft->design->buffers) {
    if (!draft->statics.emplace(buffer.name, std::pair(&buffer, int64_t{-1}))
             .second) {
      Refuse(*draft,
             fmt::format("buffer {}: there are two of the name", buffer.name));
    }
    if (!Inside(buffer.tile) || KindOf(buffer.tile) == TileKind::kShim) {
      Refuse(*draft, fmt::format("buffer {}: {} has no memory", buffer.name,
                                 buffer.tile.ToString()));
    }
    if (buffer.bytes <= 0 ||
        static_cast<int64_t>(buffer.initial.size()) > buffer.bytes) {
      Refuse(*draft,
             fmt::format("buffer {}: {} bytes, {} of them given", buffer.name,
                         buffer.bytes, buffer.initial.size()));
    }
  }
}

}  // namespace

std::string End::Label() const {
  return fmt::format("fifo {} at {}", fifo->name, spec->tile.ToString());
}

std::string Label(TileId tile) {
  const char* kind = KindOf(tile) == TileKind::kShim  ? "shim"
                     : KindOf(tile) == TileKind::kMem ? "mem tile"
                                                      : "core";
  return fmt::format("{} {}", kind, tile.ToString());
}

bool IsCore(TileId tile) { return KindOf(tile) == TileKind::kCore; }

// aie2.md 1.2: south 0x40000, west 0x50000, north 0x60000, own 0x70000.
int64_t MemoryWindow(TileId from, TileId owner) {
  if (!IsCore(from) || !IsCore(owner)) return 0;
  if (from == owner) return 0x70000;
  if (from.col == owner.col) {
    if (owner.row == from.row - 1) return 0x40000;
    if (owner.row == from.row + 1) return 0x60000;
  }
  return from.row == owner.row && owner.col == from.col - 1 ? 0x50000 : 0;
}

void Refuse(const Draft& draft, const std::string& why) {
  Fail(ErrorCode::kBadInput, "design {}: {}", draft.design->name, why);
}

const Fifo& Draft::FifoNamed(std::string_view name) const {
  for (const Fifo& fifo : design->fifos) {
    if (fifo.name == name) return fifo;
  }
  Refuse(*this, fmt::format("no fifo named {}", name));
}

const NamedLock& Draft::LockNamed(std::string_view name) const {
  for (const NamedLock& lock : design->locks) {
    if (lock.name == name) return lock;
  }
  Refuse(*this, fmt::format("no lock named {}", name));
}

void ResolveFifos(Draft* draft) {
  for (const Fifo& fifo : draft->design->fifos) AddEnds(draft, fifo);
  for (const Fifo& fifo : draft->design->fifos) {
    if (fifo.repeat < 1) {
      Refuse(*draft, fmt::format("fifo {}: repeat {}, want 1 or more",
                                 fifo.name, fifo.repeat));
    }
    if (fifo.shared) {
      AddShared(draft, fifo);
      continue;
    }
    for (int i = -1; i < static_cast<int>(fifo.consumers.size()); ++i) {
      AddRingOf(draft, &draft->EndOf(fifo, i));
    }
  }
  AddStatics(draft);
}

}  // namespace sotto::npu
