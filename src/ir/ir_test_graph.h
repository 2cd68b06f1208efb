// SPDX-License-Identifier: MIT
// A small decoder-like graph with every op that has state, for tests.
#pragma once

#include "ir/graph.h"

namespace sotto::ir {

inline Graph SmallDecoder() {
  Graph g;
  g.title = "small decoder";
  const ValueId tokens = g.Input("tokens", DType::kI32, {2, 1});
  const ValueId pos = g.Input("pos", DType::kI32, {2});
  const ValueId slot = g.Input("slot", DType::kI32, {2});
  const ValueId keys = g.State("self_k", DType::kF32, {3, 2, 16, 4});
  const ValueId vals = g.State("self_v", DType::kF32, {3, 2, 16, 4});
  const ValueId table = g.Weight("tok", DType::kF32, {11, 8});
  const ValueId where = g.Weight("pos_emb", DType::kF32, {16, 8});
  const ValueId x =
      g.Add(Op::kEmbed, {tokens, table, where, pos}, CastAttrs{}, "x");
  const ValueId w = g.Weight("qkv.w", DType::kF32, {24, 8});
  const ValueId b = g.Weight("qkv.b", DType::kF32, {24});
  g.values[static_cast<size_t>(w)].parts = {{"q.w", 8}, {"k.w", 8}, {"v.w", 8}};
  g.values[static_cast<size_t>(w)].layout = Layout::kPanel;
  g.values[static_cast<size_t>(b)].parts = {{"q.b", 8}, {"", 8}, {"v.b", 8}};
  const ValueId all = g.Add(Op::kLinear, {x, w, b}, LinearAttrs{}, "qkv");
  const ValueId q = g.Add(Op::kSlice, {all}, SliceAttrs{0, 8});
  const ValueId k = g.Add(Op::kSlice, {all}, SliceAttrs{8, 16});
  const ValueId v = g.Add(Op::kSlice, {all}, SliceAttrs{16, 24});
  const ValueId k2 = g.Add(Op::kKvWrite, {keys, k, pos, slot}, KvWriteAttrs{});
  const ValueId v2 = g.Add(Op::kKvWrite, {vals, v, pos, slot},
                           KvWriteAttrs{.kind = KvKind::kValue});
  const ValueId seen = g.Add(
      Op::kCachedAttention, {q, k2, v2, pos, slot},
      CachedAttentionAttrs{.scale = 0.5f, .extent = 12, .q_chunk = 7}, "seen");
  const ValueId logits = g.Add(Op::kLinear, {seen, table, kNoValue, kNoValue},
                               LinearAttrs{}, "logits");
  g.Output(logits);
  g.nodes.back().backend = "cpu";
  return g;
}

}  // namespace sotto::ir
