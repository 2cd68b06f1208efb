// SPDX-License-Identifier: MIT
// The attributes of every op by name, once: printer, parser and passes walk
// this list.
#pragma once

#include <string_view>
#include <type_traits>

#include "ir/graph.h"

namespace sotto::ir {

// Calls v(key, field) for each attribute. `A` may be const.
template <typename A, typename V>
void VisitAttrs(A& attrs, V&& v) {
  using T = std::remove_const_t<A>;
  if constexpr (std::is_same_v<T, ConvAttrs>) {
    v("stride", attrs.stride);
    v("act", attrs.act);
  } else if constexpr (std::is_same_v<T, NormAttrs>) {
    v("epsilon", attrs.epsilon);
  } else if constexpr (std::is_same_v<T, LinearAttrs>) {
    v("act", attrs.act);
  } else if constexpr (std::is_same_v<T, SliceAttrs>) {
    v("begin", attrs.begin);
    v("end", attrs.end);
  } else if constexpr (std::is_same_v<T, ReshapeAttrs>) {
    v("shape", attrs.shape);
  } else if constexpr (std::is_same_v<T, AttentionAttrs>) {
    v("heads", attrs.heads);
    v("scale", attrs.scale);
    v("q_chunk", attrs.q_chunk);
  } else if constexpr (std::is_same_v<T, KvWriteAttrs>) {
    v("kind", attrs.kind);
  } else if constexpr (std::is_same_v<T, CachedAttentionAttrs>) {
    v("scale", attrs.scale);
    v("causal", attrs.causal);
    v("extent", attrs.extent);
    v("q_chunk", attrs.q_chunk);
  } else {
    static_assert(std::is_same_v<T, NoAttrs> || std::is_same_v<T, CastAttrs>);
  }
  if constexpr (requires { attrs.out; }) v("out", attrs.out);
}

// The element type a node writes, where its op lets one choose; else null.
inline DType* OutType(Attrs& attrs) {
  return std::visit(
      [](auto& set) -> DType* {
        if constexpr (requires { set.out; })
          return &set.out;
        else
          return nullptr;
      },
      attrs);
}

}  // namespace sotto::ir
