// SPDX-License-Identifier: MIT
// The text form of graphs, which tests, goldens and `sotto compile --print
// graph` read and write. One declaration or node a line; '#' starts a comment
// line:
//
//   stage decode batch=1
//   input pos : i32[1]
//   state !self_k.0 : f32[1,2,448,64]
//   weight @dec.0.fc1.w : bf16[512,128] panel
//   weight @dec.0.qkv.b : f32[384] {dec.0.q.b:128|:128|dec.0.v.b:128}
//   %n = layer_norm(%x, @dec.0.ln.w, @dec.0.ln.b) out=bf16 : bf16[1,1,128]
//   %m = linear(%n, @dec.0.fc1.w, _, %r) act=gelu : f32[1,1,512] on cpu
//   %k = kv_write(!self_k.0, %n, pos, slot) : f32[1,2,448,64] in !self_k.0
//   output %m
//
// Sigils: none inputs, @ weights, ! states, % what nodes make; _ is an operand
// that is left out. {...} lists a weight's parts as tensor:rows, a part
// without a tensor being zeros; without it, the weight is the tensor of its
// own name. Attributes that have their default value are left out.
#pragma once

#include <string>
#include <string_view>

#include "ir/graph.h"

namespace sotto::ir {

// The text of any graph that Verify accepts. Equal graphs give equal text.
std::string Print(const Graph& graph);
// One node's line, without the line's end.
std::string Print(const Graph& graph, const Node& node);

// Reads what Print wrote (values may be numbered anew) and verifies it. Hostile
// text is fine. Throws Error(kBadInput) as "file:line: cause".
Graph Parse(std::string_view text, std::string_view file = "graph");

}  // namespace sotto::ir
