// SPDX-License-Identifier: MIT
#include "ir/text.h"

#include <fmt/format.h>

#include "ir/attrs.h"

namespace sotto::ir {
namespace {

std::string Text(DType type) { return std::string(Name(type)); }
std::string Text(Activation act) {
  return act == Activation::kGelu ? "gelu" : "none";
}
std::string Text(KvKind kind) { return kind == KvKind::kKey ? "key" : "value"; }
std::string Text(bool value) { return value ? "true" : "false"; }
std::string Text(const Shape& shape) { return shape.ToString(); }
template <typename T>
requires std::is_arithmetic_v<T> std::string Text(T value) {
  return fmt::format("{}", value);  // shortest text that reads back the same
}

std::string AttrsText(const Attrs& attrs) {
  std::string text;
  std::visit(
      [&](const auto& set) {
        using T = std::decay_t<decltype(set)>;
        const T defaults;
        // Walks both in step: the default's texts first.
        std::vector<std::string> usual;
        VisitAttrs(defaults, [&](std::string_view, const auto& value) {
          usual.push_back(Text(value));
        });
        size_t i = 0;
        VisitAttrs(set, [&](std::string_view key, const auto& value) {
          const std::string now = Text(value);
          if (now != usual[i++]) text += fmt::format(" {}={}", key, now);
        });
      },
      attrs);
  return text;
}

std::string PartsText(const Value& value) {
  if (value.parts.size() == 1 && value.parts[0].name == value.name) return "";
  std::string text;
  for (const WeightPart& part : value.parts)
    text +=
        fmt::format("{}{}:{}", text.empty() ? "" : "|", part.name, part.rows);
  return " {" + text + "}";
}

std::string Declaration(const Value& value) {
  const std::string_view kind = value.kind == ValueKind::kInput    ? "input"
                                : value.kind == ValueKind::kWeight ? "weight"
                                                                   : "state";
  std::string text = fmt::format("{} {} : {}", kind, Label(value),
                                 TypeString(value.dtype, value.shape));
  if (value.layout == Layout::kPanel) text += " panel";
  if (value.kind == ValueKind::kWeight) text += PartsText(value);
  return text + "\n";
}

}  // namespace

std::string Print(const Graph& graph, const Node& node) {
  const Value& out = graph.value(node.output);
  std::string operands;
  for (size_t i = 0; i < node.inputs.size(); ++i) {
    if (i > 0) operands += ", ";
    operands +=
        node.inputs[i] == kNoValue ? "_" : Label(graph.value(node.inputs[i]));
  }
  std::string text = fmt::format(
      "{} = {}({}){} : {}", Label(out), Info(node.op).name, operands,
      AttrsText(node.attrs), TypeString(out.dtype, out.shape));
  if (node.op == Op::kKvWrite)
    text += " in " + Label(graph.value(node.inputs[0]));
  if (!node.backend.empty()) text += " on " + node.backend;
  return text;
}

std::string Print(const Graph& graph) {
  std::string text = "stage " + graph.title + "\n";
  // By kind, so that passes which only move declarations change no text.
  for (const ValueKind kind :
       {ValueKind::kInput, ValueKind::kState, ValueKind::kWeight})
    for (const Value& value : graph.values)
      if (value.kind == kind) text += Declaration(value);
  for (const Node& node : graph.nodes) text += Print(graph, node) + "\n";
  for (const ValueId id : graph.outputs)
    text += "output " + Label(graph.value(id)) + "\n";
  return text;
}

}  // namespace sotto::ir
