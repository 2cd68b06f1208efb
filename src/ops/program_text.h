// SPDX-License-Identifier: MIT
// A program of operators as text, and what was read of it. Lines:
//
//   sotto-ops 1                                   first line
//   # a remark
//   input  hidden : f32[1,64]
//   const  weight : f32[64,64] = file "w.bin" 0   bytes of a neighbour
//   const  scale  : f32[2] = values [0.5, 2]
//   state  cache  : f32[1,4,10,16] = zeros        kept from run to run
//   state  ready  : bool[1] = fill 0
//   temp   keys   : f32[1,4,10,16]
//   view   k      : f32[1,4,10,16]                owns nothing, shows others
//   output logits : f32[1,64]
//   call space::op.out(hidden, weight, none, 3, 0.5, true, [1, 2], keys)
//   let k = space::op(keys, cache)                results are views
//   set ready = 1                                 fills a state, temp or output
//   if ready                                      true if all elements are
//     ...
//   else
//     ...
//   end
//
// Every name is declared before it is used. docs/operators.md explains.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "sotto/ops.h"

namespace sotto {

enum class OpVariableKind { kInput, kConst, kState, kTemp, kView, kOutput };
// "input"
std::string_view Name(OpVariableKind kind);

// How a const or state begins.
struct OpInitial {
  enum class Kind { kNone, kZeros, kFill, kValues, kFile };
  Kind kind = Kind::kNone;
  std::vector<double> values;  // kFill: one
  std::string file;            // kFile: a name beside the program
  uint64_t offset = 0;
  friend bool operator==(const OpInitial&, const OpInitial&) = default;
};

struct OpVariable {
  OpVariableKind kind = OpVariableKind::kTemp;
  std::string name;
  sotto_op_dtype dtype = SOTTO_OP_F32;
  std::vector<int64_t> sizes;
  uint64_t bytes = 0;
  OpInitial initial;
  int line = 0;
};

// By index into OpProgramText::variables.
struct OpVariableRef {
  uint32_t index = 0;
  friend bool operator==(OpVariableRef, OpVariableRef) = default;
};

using OpArgument =
    std::variant<std::monostate,  // none
                 OpVariableRef, int64_t, double, bool, std::vector<int64_t>,
                 std::vector<OpVariableRef>>;

struct OpStatement {
  enum class Kind { kCall, kSet, kIf, kElse, kEnd };
  Kind kind = Kind::kCall;
  std::string op;                      // kCall
  std::vector<OpArgument> arguments;   // kCall
  std::vector<OpVariableRef> results;  // kCall
  OpVariableRef variable;              // kSet, kIf
  double value = 0;                    // kSet
  // kIf: the first statement when false; kElse: the one behind the end.
  size_t target = 0;
  int line = 0;
};

struct OpProgramText {
  std::vector<OpVariable> variables;
  std::vector<OpStatement> statements;
};

// Reads and checks all that needs no operator: types, sizes (under 2^56 bytes),
// names, nesting (16 at most). Throws Error(kBadInput) "FILE:LINE: ...".
// Allocates what the text is long, whatever sizes it declares.
OpProgramText ParseOpProgram(std::string_view text, std::string_view file);

// Reads back equal.
std::string PrintOpProgram(const OpProgramText& program);

}  // namespace sotto
