// SPDX-License-Identifier: MIT
#include "ir/graph.h"

#include <array>
#include <utility>

namespace sotto::ir {
namespace {

constexpr std::array<OpInfo, kOpCount> kOps = {{
#define SOTTO_OP(name, text, min_inputs, max_inputs, attrs) \
  {text, min_inputs, max_inputs},
#include "ir/ops.def"
#undef SOTTO_OP
}};

ValueId Append(Graph& graph, Value value) {
  graph.values.push_back(std::move(value));
  return static_cast<ValueId>(graph.values.size()) - 1;
}

}  // namespace

const OpInfo& Info(Op op) { return kOps[static_cast<size_t>(op)]; }

Attrs DefaultAttrs(Op op) {
  switch (op) {
#define SOTTO_OP(name, text, min_inputs, max_inputs, attrs) \
  case Op::k##name:                                         \
    return attrs{};
#include "ir/ops.def"
#undef SOTTO_OP
  }
  return NoAttrs{};
}

ValueId Graph::Input(std::string name, DType dtype, const Shape& shape) {
  return Append(*this, {.kind = ValueKind::kInput,
                        .dtype = dtype,
                        .shape = shape,
                        .name = std::move(name)});
}

ValueId Graph::Weight(std::string name, DType dtype, const Shape& shape) {
  const int64_t rows = shape.rank() > 0 ? shape[0] : 1;
  std::vector<WeightPart> parts = {{.name = name, .rows = rows}};
  return Append(*this, {.kind = ValueKind::kWeight,
                        .dtype = dtype,
                        .shape = shape,
                        .name = std::move(name),
                        .parts = std::move(parts)});
}

ValueId Graph::State(std::string name, DType dtype, const Shape& shape) {
  return Append(*this, {.kind = ValueKind::kState,
                        .dtype = dtype,
                        .shape = shape,
                        .name = std::move(name)});
}

ValueId Graph::Add(Op op, std::vector<ValueId> inputs, Attrs attrs,
                   std::string name) {
  Node node{.op = op,
            .inputs = std::move(inputs),
            .output = static_cast<ValueId>(values.size()),
            .attrs = std::move(attrs),
            .backend = {}};
  const Inferred inferred = Infer(*this, node);
  if (name.empty()) name = std::to_string(nodes.size());
  const ValueId output =
      Append(*this, {.kind = ValueKind::kTemp,
                     .dtype = inferred.dtype,
                     .shape = inferred.shape,
                     .name = std::move(name),
                     .producer = static_cast<NodeId>(nodes.size())});
  nodes.push_back(std::move(node));
  return output;
}

ValueId Graph::Find(std::string_view name) const {
  for (size_t i = 0; i < values.size(); ++i)
    if (values[i].name == name) return static_cast<ValueId>(i);
  return kNoValue;
}

std::string Label(const Value& value) {
  switch (value.kind) {
    case ValueKind::kInput:
      return value.name;
    case ValueKind::kWeight:
      return "@" + value.name;
    case ValueKind::kState:
      return "!" + value.name;
    case ValueKind::kTemp:
      return "%" + value.name;
  }
  return value.name;
}

std::string Describe(const Graph& graph, const Node& node) {
  std::string text = std::string(Info(node.op).name) + "(";
  for (size_t i = 0; i < node.inputs.size(); ++i) {
    if (i > 0) text += ", ";
    const ValueId id = node.inputs[i];
    if (id < 0 || static_cast<size_t>(id) >= graph.values.size()) {
      text += "_";
      continue;
    }
    const Value& value = graph.value(id);
    text += Label(value) + " " + TypeString(value.dtype, value.shape);
  }
  return text + ")";
}

}  // namespace sotto::ir
