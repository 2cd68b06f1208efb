// SPDX-License-Identifier: MIT
// An operator's schema ("(T,T!,i)->(T)"), read and checked.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace sotto {

struct OpSchema {
  enum class Kind {
    kTensor,
    kMutableTensor,
    kOptionalTensor,
    kInt,
    kFloat,
    kBool,
    kInts,
    kTensors,
    kMutableTensors,
  };
  std::vector<Kind> arguments;
  size_t results = 0;
};

// How a kind is written ("T!").
std::string_view Name(OpSchema::Kind kind);

// Throws Error(kBadInput) that quotes the text.
OpSchema ParseSchema(std::string_view text);

}  // namespace sotto
