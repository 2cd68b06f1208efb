// SPDX-License-Identifier: MIT
#include "npu/design/router.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <numeric>
#include <optional>
#include <queue>

#include "base/error.h"
#include "npu/design/draft.h"

namespace sotto::npu {
namespace {

using Bundle = Port::Bundle;
constexpr Bundle kSides[] = {Bundle::kNorth, Bundle::kSouth, Bundle::kEast,
                             Bundle::kWest};

TileId Neighbour(TileId tile, Bundle side) {
  switch (side) {
    case Bundle::kNorth:
      return {tile.col, tile.row + 1};
    case Bundle::kSouth:
      return {tile.col, tile.row - 1};
    case Bundle::kEast:
      return {tile.col + 1, tile.row};
    default:
      return {tile.col - 1, tile.row};
  }
}

Bundle Opposite(Bundle side) {
  switch (side) {
    case Bundle::kNorth:
      return Bundle::kSouth;
    case Bundle::kSouth:
      return Bundle::kNorth;
    case Bundle::kEast:
      return Bundle::kWest;
    default:
      return Bundle::kEast;
  }
}

// One attempt: nets in the order given, each sink by the cheapest way from the
// tree so far. A link costs more the more of its ports are taken, which spreads
// nets over columns.
class Attempt {
 public:
  // The index of the net that found no way; none: all are routed.
  std::optional<size_t> Run(const std::vector<Net>& nets,
                            const std::vector<size_t>& order) {
    result_.hops.assign(nets.size(), 0);
    for (const size_t n : order) {
      if (!RouteNet(nets[n], &result_.hops[n])) return n;
    }
    for (const auto& [link, used] : used_) {
      result_.busiest_ports = std::max(result_.busiest_ports, used);
    }
    return std::nullopt;
  }
  Routes Take() { return std::move(result_); }

 private:
  bool RouteNet(const Net& net, int* hops) {
    // Where the net's words enter each switch of its tree.
    std::map<TileId, Port> tree{
        {net.source.tile, {Bundle::kDma, net.source.channel}}};
    *hops = 1;
    for (const Net::End& sink : net.sinks) {
      if (!tree.contains(sink.tile) && !Extend(sink.tile, &tree, hops)) {
        return false;
      }
      Connect(sink.tile, tree[sink.tile], {Bundle::kDma, sink.channel});
    }
    return true;
  }

  bool Extend(TileId goal, std::map<TileId, Port>* tree, int* hops) {
    constexpr int kFar = std::numeric_limits<int>::max();
    std::map<TileId, int> cost;
    std::map<TileId, Bundle>
        came;  // the side of the tile before that leads here
    using Entry = std::pair<int, TileId>;
    std::priority_queue<Entry, std::vector<Entry>, std::greater<>> queue;
    for (const auto& [tile, port] : *tree) {
      cost[tile] = 0;
      queue.emplace(0, tile);
    }
    while (!queue.empty()) {
      const auto [so_far, tile] = queue.top();
      queue.pop();
      if (tile == goal) break;
      if (so_far > cost[tile]) continue;
      for (const Bundle side : kSides) {
        const int used = used_[{tile, side}];
        if (used >= PortsTowards(tile, side)) continue;
        const TileId next = Neighbour(tile, side);
        const int price = so_far + 4 + used;
        const auto known = cost.find(next);
        if (price >= (known == cost.end() ? kFar : known->second)) continue;
        cost[next] = price;
        came[next] = side;
        queue.emplace(price, next);
      }
    }
    if (!cost.contains(goal)) return false;
    std::vector<Bundle> way;  // from the goal back to the tree
    for (TileId at = goal; !tree->contains(at);
         at = Neighbour(at, Opposite(way.back()))) {
      way.push_back(came[at]);
    }
    TileId at = goal;
    for (const Bundle side : way) at = Neighbour(at, Opposite(side));
    for (auto side = way.rbegin(); side != way.rend(); ++side) {
      const int index = used_[{at, *side}]++;
      Connect(at, (*tree)[at], {*side, index});
      at = Neighbour(at, *side);
      (*tree)[at] = {Opposite(*side), index};
      ++*hops;
    }
    return true;
  }

  void Connect(TileId tile, Port in, Port out) {
    result_.connections[tile].push_back({in, out});
  }

  std::map<std::pair<TileId, Bundle>, int> used_;
  Routes result_;
};

}  // namespace

int PortsTowards(TileId tile, Bundle side) {
  const TileId next = Neighbour(tile, side);
  if (next.col < 0 || next.col >= kColumns || next.row < 0 ||
      next.row >= kRows) {
    return 0;
  }
  switch (side) {
    case Bundle::kNorth:
      return 6;
    case Bundle::kSouth:
      return 4;
    // Mem tiles have no streams to the east and west (mlir-aie's target model).
    default:
      return KindOf(tile) == TileKind::kMem ? 0 : 4;
  }
}

Routes RouteNets(const std::vector<Net>& nets) {
  std::vector<size_t> order(nets.size());
  std::iota(order.begin(), order.end(), size_t{0});
  size_t failed = 0;
  // A net that found no way goes first the next time.
  for (size_t round = 0; round <= 2 * nets.size(); ++round) {
    Attempt attempt;
    const std::optional<size_t> stuck = attempt.Run(nets, order);
    if (!stuck) return attempt.Take();
    failed = *stuck;
    const auto at = std::find(order.begin(), order.end(), failed);
    std::rotate(order.begin(), at, at + 1);
  }
  Fail(ErrorCode::kBadInput,
       "no way is left through the switch ports for fifo {} from {}",
       nets[failed].name, nets[failed].source.tile.ToString());
}

void RouteFlows(Draft* draft) {
  std::vector<Net> nets;
  for (const Fifo& fifo : draft->design->fifos) {
    if (fifo.shared) continue;
    Net net{.name = fifo.name};
    for (int i = -1; i < static_cast<int>(fifo.consumers.size()); ++i) {
      const End& end = draft->EndOf(fifo, i);
      const Net::End at{end.spec->tile, end.channel};
      if (i < 0) {
        net.source = at;
      } else {
        net.sinks.push_back(at);
      }
    }
    nets.push_back(std::move(net));
  }
  Routes routes;
  try {
    routes = RouteNets(nets);
  } catch (const Error& error) {
    Refuse(*draft, error.what());
  }
  for (auto& [tile, connections] : routes.connections) {
    draft->tile(tile).connections = std::move(connections);
  }
  for (size_t n = 0; n < nets.size(); ++n) {
    Flow flow{.fifo = nets[n].name,
              .source = {nets[n].source.tile, nets[n].source.channel},
              .hops = routes.hops[n]};
    for (const Net::End& sink : nets[n].sinks) {
      flow.sinks.push_back({sink.tile, sink.channel});
    }
    draft->plan.flows.push_back(std::move(flow));
  }
}

}  // namespace sotto::npu
