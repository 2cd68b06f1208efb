// SPDX-License-Identifier: MIT
// Circuit-switched routes: which S2MM channels each MM2S channel feeds through
// the tiles' stream switches.
#pragma once

#include <string>
#include <vector>

#include "npu/array_config.h"

namespace sotto::npu {

struct RouteEnd {
  TileId tile;
  int channel = 0;
  int hops = 0;  // switches passed
};
struct Route {
  TileId tile;
  int channel = 0;
  std::vector<RouteEnd> ends;  // several: broadcast
};

// How many ports of a bundle a tile's switch has, as inputs and as outputs.
int InputPorts(TileKind kind, Port::Bundle bundle);
int OutputPorts(TileKind kind, Port::Bundle bundle);
// "North 3"
std::string ToString(const Port& port);

// Throws Error(kBadInput) for a port that is not there, an output with two
// inputs, or a stream that leaves the array.
std::vector<Route> TraceRoutes(const ArrayConfig& config);

}  // namespace sotto::npu
