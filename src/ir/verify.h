// SPDX-License-Identifier: MIT
// Verify: what a well-formed graph is. After it, everything behind trusts the
// graph; text from outside passes it first.
#pragma once

#include "ir/graph.h"

namespace sotto::ir {

// Throws Error(kInternal) naming the node or value and the rule it breaks:
// - names are unique, of letters, digits, '.', '_' and '-';
// - shapes have 1 to 4 positive dimensions and at most 2^40 elements;
// - a weight's parts are its rows; parts and layout stand on weights only;
// - each temporary has one producer, which stands before its readers (SSA),
//   and the dtype and shape that inference gives;
// - a state is read by kv_write and cached_attention only. After a kv_write
//   nobody reads the old state, and no other node writes it;
// - a reshape reads dense values, so not what a slice made;
// - outputs are temporaries with memory of their own: no views, no states.
void Verify(const Graph& graph);

// Runs Verify and adds `when` ("after fuse") to the message of what it throws.
void VerifyAfter(const Graph& graph, std::string_view when);

}  // namespace sotto::ir
