// SPDX-License-Identifier: MIT
// Backend: what the compiler knows of a device. Backends see decisions, not
// wishes: dtypes, layouts and placement already stand in the graph.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/program.h"
#include "runtime/weight_reader.h"

namespace sotto {

// Owns packed weights under (parts, dtype, layout), so that all programs and
// buckets share one copy. Thread-safe. Outlives the programs it lowered.
class Backend {
 public:
  virtual ~Backend() = default;
  virtual std::string_view name() const = 0;
  // Why the node cannot run here, in words; empty where it can.
  virtual std::string Refuse(const ir::Graph& graph, ir::NodeId node) const = 0;
  // Bytes of a state value in this backend's packing.
  virtual size_t StateBytes(const ir::Value& state) const = 0;
  // Turns nodes, in running order, into steps; packs the weights they read.
  // Slice, Reshape (views) and nodes fused into another step give none.
  virtual std::vector<std::unique_ptr<Step>> Lower(
      const ir::Graph& graph, std::span<const ir::NodeId> nodes,
      const WeightReader& weights) = 0;
  // Bytes of weights packed so far (each counted once), and bytes copied while
  // packing: a second program over the same weights adds nothing to either.
  virtual size_t packed_bytes() const = 0;
  virtual size_t weight_bytes_copied() const = 0;
};

}  // namespace sotto
