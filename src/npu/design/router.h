// SPDX-License-Identifier: MIT
// Ways through the stream switches: every net a tree of circuit-switched
// connections, shortest first, longer where ports are taken.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "npu/array_config.h"

namespace sotto::npu {

struct Net {
  struct End {
    TileId tile;
    int channel = 0;
  };
  std::string name;
  End source;
  std::vector<End> sinks;
};

struct Routes {
  std::map<TileId, std::vector<Connection>> connections;
  std::vector<int> hops;  // of each net: switches entered
  // Ports between switches in use, of those there are, at the busiest switch.
  int busiest_ports = 0;
};

// Ports a switch has towards a neighbour (AM020): outputs of the side.
int PortsTowards(TileId tile, Port::Bundle side);

// Throws Error(kBadInput) naming the net for which no way is left.
Routes RouteNets(const std::vector<Net>& nets);

}  // namespace sotto::npu
