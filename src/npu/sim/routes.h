// SPDX-License-Identifier: MIT
// Routes: which S2MM channels each MM2S channel feeds through the tiles' stream
// switches, circuit or packet switched.
#pragma once

#include <string>
#include <vector>

#include "npu/array_config.h"

namespace sotto::npu {

struct RouteEnd {
  TileId tile;
  int channel = 0;
  int hops = 0;               // switches passed
  bool drops_header = false;  // a switch on the way took it off
};
struct Route {
  TileId tile;
  int channel = 0;
  std::vector<RouteEnd> ends;  // several: broadcast
  // The packets that go this way; kAnything where only circuits are on it.
  static constexpr int kAnything = -1;
  int packet = kAnything;
  // Packet-switched outputs on the way: shared with other packets.
  struct Output {
    TileId tile;
    Port port;
    friend auto operator<=>(const Output&, const Output&) = default;
  };
  std::vector<Output> outputs;
};

// How many ports of a bundle a tile's switch has, as inputs and as outputs.
int InputPorts(TileKind kind, Port::Bundle bundle);
int OutputPorts(TileKind kind, Port::Bundle bundle);
// "North 3"
std::string ToString(const Port& port);

// A channel whose stream meets a packet-switched input has a route for each
// packet ID that leads anywhere, and none for words without a header. Throws
// Error(kBadInput) for a port that is not there, an output with two inputs, a
// port in both modes, numbers out of range, a packet that runs in a circle, or
// a stream that leaves the array.
std::vector<Route> TraceRoutes(const ArrayConfig& config);

}  // namespace sotto::npu
