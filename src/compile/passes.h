// SPDX-License-Identifier: MIT
// The passes, in order. Each is a function from a verified graph to a verified
// graph, in a file of its name, and neither knows nor remembers anything else.
#pragma once

#include <array>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "compile/profile.h"
#include "ir/graph.h"
#include "runtime/backend.h"

namespace sotto {

// What the fuse pass did, in graph order.
struct FusionReport {
  struct Entry {
    std::string_view kind;  // "qkv", "cross_kv", "gelu", "residual", "position"
    std::string node;       // "enc.0.attn.qkv", or the matrix: "enc.0.fc1.w"
  };
  std::vector<Entry> entries;
  int Count(std::string_view kind) const;
  // Only nodes whose name ends so: Count("residual", ".fc2.w").
  int Count(std::string_view kind, std::string_view suffix) const;
  // "qkv=4 gelu=4 residual=12", then one line an entry.
  std::string ToString() const;
};

struct PassContext {
  const StageOptions& options;
  DType kv = DType::kF32;
  std::span<Backend* const> backends;
  FusionReport* report = nullptr;  // may be null
};

// Removes casts, slices, reshapes and sums that do nothing, and what nobody
// reads.
ir::Graph Fold(const ir::Graph& graph, const PassContext& context);
// Joins q, k, v of a layer, cross k and v of a layer; takes GELU, residual
// sums and positions into the matrix or convolution before them.
ir::Graph Fuse(const ir::Graph& graph, const PassContext& context);
// Writes the profile's query chunks: on the encoder's attention, and on the
// decoder's attention to the window.
ir::Graph ChunkAttention(const ir::Graph& graph, const PassContext& context);
// Writes element types: of weights, states and what nodes give.
ir::Graph SetPrecision(const ir::Graph& graph, const PassContext& context);
// Writes how weights are stored.
ir::Graph SetLayout(const ir::Graph& graph, const PassContext& context);
// Writes which backend runs each node. Throws kUnsupported with all reasons.
ir::Graph Place(const ir::Graph& graph, const PassContext& context);

struct PassInfo {
  std::string_view name;
  ir::Graph (*run)(const ir::Graph&, const PassContext&);
};
inline constexpr std::array kPasses = {
    PassInfo{"fold", Fold},
    PassInfo{"fuse", Fuse},
    PassInfo{"chunk", ChunkAttention},
    PassInfo{"precision", SetPrecision},
    PassInfo{"layout", SetLayout},
    PassInfo{"place", Place},
};

// Patterns that Fuse would join, whatever the options say: one line each. The
// fuse pass throws kInternal with them where `assert_clean` asks for none.
std::vector<std::string> UnfusedPatterns(const ir::Graph& graph);

}  // namespace sotto
