// SPDX-License-Identifier: MIT
// A pickle as PyTorch checkpoints hold it, read as data: nothing is ever
// called. Names of Python objects stand for what they would make, and only
// those that make tensors and dictionaries are known; any other is refused.
// Opcodes: CPython, Lib/pickletools.py. Tensors: pytorch,
// torch/_utils.py (_rebuild_tensor_v2) and torch/serialization.py.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"

namespace sotto {

class Pickle {
 public:
  using Id = uint32_t;  // of a node; nodes refer to one another by it
  enum class Kind {
    kNone,
    kBool,
    kInt,
    kFloat,
    kText,
    kTuple,
    kList,
    kDict,
    kGlobal,
    kStorage,
    kTensor
  };

  struct Node {
    Kind kind = Kind::kNone;
    int64_t number = 0;          // kBool, kInt; kStorage: elements
    double real = 0;             // kFloat
    std::string text = {};       // kText; kGlobal "module.name"; kStorage: key
    std::string type = {};       // kStorage: "HalfStorage"
    std::vector<Id> items = {};  // kTuple, kList; kDict: key, value, key, ...
    // kTensor: its storage, and where in it, in elements.
    Id storage = 0;
    int64_t offset = 0;
    std::vector<int64_t> sizes = {}, strides = {};
  };

  // Reads the whole stream. Throws kBadInput naming the byte and the cause;
  // for a refused object, its name.
  Pickle(std::span<const std::byte> bytes, const std::string& file);

  const Node& root() const { return nodes_[root_]; }
  const Node& node(Id id) const { return nodes_[id]; }
  // The value under a text key of a dictionary, or null.
  const Node* Find(const Node& dict, std::string_view key) const;

 private:
  friend class PickleMachine;
  // note: a flat list with ids and not a tree of owners, so that hostile
  // nesting costs no stack when it is freed.
  std::vector<Node> nodes_;
  Id root_ = 0;
};

}  // namespace sotto
