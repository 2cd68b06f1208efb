// SPDX-License-Identifier: MIT
#include "npu/sim/routes.h"

#include <fmt/format.h>

#include <map>
#include <set>
#include <string_view>
#include <utility>

#include "base/error.h"

namespace sotto::npu {
namespace {

using Bundle = Port::Bundle;

// The tile and the input that an output leads to.
struct Step {
  TileId tile;
  Port in;
};
Step Across(TileId tile, const Port& out) {
  switch (out.bundle) {
    case Bundle::kNorth:
      return {{tile.col, tile.row + 1}, {Bundle::kSouth, out.index}};
    case Bundle::kSouth:
      return {{tile.col, tile.row - 1}, {Bundle::kNorth, out.index}};
    case Bundle::kEast:
      return {{tile.col + 1, tile.row}, {Bundle::kWest, out.index}};
    case Bundle::kWest:
      return {{tile.col - 1, tile.row}, {Bundle::kEast, out.index}};
    case Bundle::kDma:
      break;
  }
  return {tile, out};
}

bool InArray(TileId tile) {
  return tile.col >= 0 && tile.col < kColumns && tile.row >= 0 &&
         tile.row < kRows;
}

constexpr int kArbiters = 6;  // of a switch, with 4 msels each (mlir-aie)
constexpr int kMsels = 4;
constexpr int kSlots = 4;  // of an input (AM025)
constexpr int kPackets = 32;

// The switch of one tile, port by port.
class PortCheck {
 public:
  explicit PortCheck(TileId tile) : tile_(tile), kind_(KindOf(tile)) {}

  void In(const Port& in, bool packets) {
    if (in.index < 0 || in.index >= InputPorts(kind_, in.bundle)) {
      Fail(ErrorCode::kBadInput,
           "{}: stream switch has no input {}, it has {} of that side",
           tile_.ToString(), ToString(in), InputPorts(kind_, in.bundle));
    }
    if (!ins_.emplace(in, packets).second && ins_[in] != packets) {
      Fail(ErrorCode::kBadInput,
           "{}: input {} is both circuit and packet switched", tile_.ToString(),
           ToString(in));
    }
  }
  void Out(const Port& out) {
    if (out.index < 0 || out.index >= OutputPorts(kind_, out.bundle)) {
      Fail(ErrorCode::kBadInput,
           "{}: stream switch has no output {}, it has {} of that side",
           tile_.ToString(), ToString(out), OutputPorts(kind_, out.bundle));
    }
    if (!outs_.insert(out).second) {
      Fail(ErrorCode::kBadInput, "{}: output {} has two inputs",
           tile_.ToString(), ToString(out));
    }
    if (!InArray(Across(tile_, out).tile)) {
      Fail(ErrorCode::kBadInput, "{}: output {} leaves the array",
           tile_.ToString(), ToString(out));
    }
  }
  void Number(std::string_view what, int value, int end) const {
    if (value >= 0 && value < end) return;
    Fail(ErrorCode::kBadInput, "{}: {} is {}, want 0 to {}", tile_.ToString(),
         what, value, end - 1);
  }

 private:
  TileId tile_;
  TileKind kind_;
  std::map<Port, bool> ins_;
  std::set<Port> outs_;
};

void CheckPorts(TileId tile, const TileConfig& config) {
  PortCheck check(tile);
  for (const Connection& c : config.connections) {
    check.In(c.in, false);
    check.Out(c.out);
  }
  std::map<Port, int> slots;
  for (const PacketSlot& slot : config.packet_slots) {
    check.In(slot.in, true);
    check.Number("packet ID of a slot", slot.id, kPackets);
    check.Number("mask of a slot", slot.mask, kPackets);
    check.Number("arbiter of a slot", slot.arbiter, kArbiters);
    check.Number("msel of a slot", slot.msel, kMsels);
    if (++slots[slot.in] > kSlots) {
      Fail(ErrorCode::kBadInput, "{}: input {} has more than {} slots",
           tile.ToString(), ToString(slot.in), kSlots);
    }
  }
  for (const PacketOutput& output : config.packet_outputs) {
    check.Out(output.out);
    check.Number("arbiter of an output", output.arbiter, kArbiters);
    check.Number("msels of an output", output.msels, 1 << kMsels);
  }
}

// Follows one stream from a DMA on: words without a header, or one packet.
class Tracer {
 public:
  Tracer(const ArrayConfig& config, Route* route)
      : config_(config), route_(route) {}

  void Follow(TileId tile, const Port& in, int hops, bool dropped) {
    const auto found = config_.tiles.find(tile);
    if (found == config_.tiles.end()) return;
    if (!seen_.insert({tile, in}).second) {
      Fail(ErrorCode::kBadInput, "{}: packet {} runs in a circle",
           tile.ToString(), route_->packet);
    }
    for (const Connection& c : found->second.connections) {
      if (c.in == in) Leave(tile, c.out, hops, dropped);
    }
    for (const PacketSlot& slot : found->second.packet_slots) {
      if (slot.in != in) continue;
      met_packets_ = true;
      // note: what follows a dropped header is told apart by nothing.
      if (route_->packet == Route::kAnything || dropped) return;
      if ((slot.id ^ route_->packet) & slot.mask) continue;
      Arbitrate(tile, found->second, slot, hops);
      return;
    }
  }
  bool met_packets() const { return met_packets_; }

 private:
  void Arbitrate(TileId tile, const TileConfig& config, const PacketSlot& slot,
                 int hops) {
    for (const PacketOutput& output : config.packet_outputs) {
      if (output.arbiter != slot.arbiter ||
          (output.msels >> slot.msel & 1) == 0) {
        continue;
      }
      route_->outputs.push_back({tile, output.out});
      Leave(tile, output.out, hops, output.drop_header);
    }
  }
  void Leave(TileId tile, const Port& out, int hops, bool dropped) {
    if (out.bundle == Bundle::kDma) {
      route_->ends.push_back({tile, out.index, hops + 1, dropped});
      return;
    }
    const Step step = Across(tile, out);
    Follow(step.tile, step.in, hops + 1, dropped);
  }

  const ArrayConfig& config_;
  Route* route_;
  std::set<std::pair<TileId, Port>> seen_;
  bool met_packets_ = false;
};

// The routes of one MM2S channel.
void TraceChannel(const ArrayConfig& config, TileId tile, int channel,
                  std::vector<Route>* routes) {
  const Port dma{Bundle::kDma, channel};
  Route circuit{.tile = tile, .channel = channel};
  Tracer plain(config, &circuit);
  plain.Follow(tile, dma, 0, false);
  if (!plain.met_packets()) {
    if (!circuit.ends.empty()) routes->push_back(std::move(circuit));
    return;
  }
  for (int packet = 0; packet < kPackets; ++packet) {
    Route route{.tile = tile, .channel = channel, .packet = packet};
    Tracer(config, &route).Follow(tile, dma, 0, false);
    if (!route.ends.empty()) routes->push_back(std::move(route));
  }
}

}  // namespace

int InputPorts(TileKind kind, Bundle bundle) {
  switch (bundle) {
    case Bundle::kDma:
      return LimitsOf(kind).dma_channels;
    case Bundle::kNorth:
      return 4;
    case Bundle::kSouth:
      return 6;
    case Bundle::kEast:
    case Bundle::kWest:
      return kind == TileKind::kMem ? 0 : 4;
  }
  return 0;
}

int OutputPorts(TileKind kind, Bundle bundle) {
  switch (bundle) {
    case Bundle::kNorth:
      return 6;
    case Bundle::kSouth:
      return 4;
    default:
      return InputPorts(kind, bundle);
  }
}

std::string ToString(const Port& port) {
  static constexpr const char* kNames[] = {"DMA", "North", "South", "East",
                                           "West"};
  return fmt::format("{} {}", kNames[static_cast<int>(port.bundle)],
                     port.index);
}

std::vector<Route> TraceRoutes(const ArrayConfig& config) {
  std::vector<Route> routes;
  for (const auto& [tile, tile_config] : config.tiles) {
    if (!InArray(tile)) {
      Fail(ErrorCode::kBadInput, "{}: no such tile, the array is {} by {}",
           tile.ToString(), kColumns, kRows);
    }
    CheckPorts(tile, tile_config);
  }
  for (const auto& [tile, tile_config] : config.tiles) {
    std::set<int> sources;
    for (const Connection& c : tile_config.connections) {
      if (c.in.bundle == Bundle::kDma) sources.insert(c.in.index);
    }
    for (const PacketSlot& slot : tile_config.packet_slots) {
      if (slot.in.bundle == Bundle::kDma) sources.insert(slot.in.index);
    }
    for (const int channel : sources) {
      TraceChannel(config, tile, channel, &routes);
    }
  }
  return routes;
}

}  // namespace sotto::npu
