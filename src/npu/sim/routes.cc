// SPDX-License-Identifier: MIT
#include "npu/sim/routes.h"

#include <fmt/format.h>

#include <set>

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

void CheckPorts(TileId tile, const TileConfig& config) {
  const TileKind kind = KindOf(tile);
  std::set<Port> outs;
  for (const Connection& c : config.connections) {
    if (c.in.index < 0 || c.in.index >= InputPorts(kind, c.in.bundle)) {
      Fail(ErrorCode::kBadInput,
           "{}: stream switch has no input {}, it has {} of that side",
           tile.ToString(), ToString(c.in), InputPorts(kind, c.in.bundle));
    }
    if (c.out.index < 0 || c.out.index >= OutputPorts(kind, c.out.bundle)) {
      Fail(ErrorCode::kBadInput,
           "{}: stream switch has no output {}, it has {} of that side",
           tile.ToString(), ToString(c.out), OutputPorts(kind, c.out.bundle));
    }
    if (!outs.insert(c.out).second) {
      Fail(ErrorCode::kBadInput, "{}: output {} has two inputs",
           tile.ToString(), ToString(c.out));
    }
    if (!InArray(Across(tile, c.out).tile)) {
      Fail(ErrorCode::kBadInput, "{}: output {} leaves the array",
           tile.ToString(), ToString(c.out));
    }
  }
}

// An output has one input, so no stream that starts at a DMA runs in a circle.
class Tracer {
 public:
  Tracer(const ArrayConfig& config, Route* route)
      : config_(config), route_(route) {}

  void Follow(TileId tile, const Port& in, int hops) {
    const auto found = config_.tiles.find(tile);
    if (found == config_.tiles.end()) return;
    for (const Connection& c : found->second.connections) {
      if (c.in != in) continue;
      if (c.out.bundle == Bundle::kDma) {
        route_->ends.push_back({tile, c.out.index, hops + 1});
      } else {
        const Step step = Across(tile, c.out);
        Follow(step.tile, step.in, hops + 1);
      }
    }
  }

 private:
  const ArrayConfig& config_;
  Route* route_;
};

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
    std::set<int> done;
    for (const Connection& c : tile_config.connections) {
      if (c.in.bundle != Bundle::kDma || !done.insert(c.in.index).second) {
        continue;
      }
      Route route{.tile = tile, .channel = c.in.index};
      Tracer(config, &route).Follow(tile, c.in, 0);
      if (!route.ends.empty()) routes.push_back(std::move(route));
    }
  }
  return routes;
}

}  // namespace sotto::npu
