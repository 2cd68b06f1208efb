// SPDX-License-Identifier: MIT
#include "ir/verify.h"

#include <algorithm>
#include <unordered_set>

namespace sotto::ir {
namespace {

// More than any tensor of any Whisper, small enough that bytes never overflow.
constexpr int64_t kMostElements = int64_t{1} << 40;

bool IsNameChar(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
}

class Verifier {
 public:
  explicit Verifier(const Graph& graph) : graph_(graph) {}

  void Run() {
    CheckTitle();
    for (const Value& value : graph_.values) CheckValue(value);
    written_.assign(graph_.values.size(), false);
    dead_.assign(graph_.values.size(), false);
    sliced_.assign(graph_.values.size(), false);
    for (size_t i = 0; i < graph_.nodes.size(); ++i)
      CheckNode(static_cast<NodeId>(i));
    for (size_t i = 0; i < graph_.values.size(); ++i)
      if (graph_.values[i].kind == ValueKind::kTemp && !written_[i])
        Refuse(graph_.values[i], "has no producer");
    CheckOutputs();
  }

 private:
  template <typename... Args>
  [[noreturn]] void Refuse(const Value& value,
                           fmt::format_string<Args...> format, Args&&... args) {
    Fail(ErrorCode::kInternal, "{}: {} {}", graph_.title, Label(value),
         fmt::format(format, std::forward<Args>(args)...));
  }
  template <typename... Args>
  [[noreturn]] void Refuse(const Node& node, fmt::format_string<Args...> format,
                           Args&&... args) {
    Fail(ErrorCode::kInternal, "{}: {}: {}", graph_.title,
         Describe(graph_, node),
         fmt::format(format, std::forward<Args>(args)...));
  }

  void CheckTitle() {
    for (const char c : graph_.title)
      if (static_cast<unsigned char>(c) < 0x20)
        Fail(ErrorCode::kInternal, "a graph's title has control characters");
    if (!graph_.title.empty() &&
        (graph_.title.front() == ' ' || graph_.title.back() == ' '))
      Fail(ErrorCode::kInternal, "{}: the title has spaces around it",
           graph_.title);
  }

  void CheckValue(const Value& value) {
    if (value.name.empty() || value.name == "_" ||
        !std::all_of(value.name.begin(), value.name.end(), IsNameChar))
      Refuse(value, "is no name, want letters, digits, '.', '_' and '-'");
    if (!names_.insert(value.name).second)
      Refuse(value, "is a name twice in the graph");
    if (IsBlock(value.dtype))
      Refuse(value, "is {}, which exists only in files", Name(value.dtype));
    if (value.shape.rank() < 1) Refuse(value, "has no dimensions");
    int64_t elements = 1;
    for (int i = 0; i < value.shape.rank(); ++i) {
      const int64_t dim = value.shape[i];
      if (dim < 1 || dim > kMostElements)
        Refuse(value, "is {}, want dimensions from 1 to 2^40",
               value.shape.ToString());
      if (elements > kMostElements / dim)
        Refuse(value, "has more than 2^40 elements");
      elements *= dim;
    }
    CheckWeight(value);
  }

  void CheckWeight(const Value& value) {
    if (value.kind != ValueKind::kWeight) {
      if (!value.parts.empty() || value.layout != Layout::kPlain)
        Refuse(value, "has the parts or layout of a weight");
      return;
    }
    int64_t rows = 0;
    for (const WeightPart& part : value.parts) {
      if (part.rows < 1 || part.rows > value.shape[0])
        Refuse(value, "has a part of {} rows", part.rows);
      if (!std::all_of(part.name.begin(), part.name.end(), IsNameChar))
        Refuse(value, "has a part '{}', which is no name", part.name);
      rows += part.rows;
      if (rows > value.shape[0]) break;
    }
    if (rows != value.shape[0])
      Refuse(value, "has parts of {} rows, want {}", rows, value.shape[0]);
  }

  void CheckNode(NodeId id) {
    const Node& node = graph_.node(id);
    for (const ValueId input : node.inputs) CheckRead(node, input);
    const Inferred inferred = Infer(graph_, node);
    if (node.output < 0 ||
        static_cast<size_t>(node.output) >= graph_.values.size())
      Refuse(node, "has no output");
    const Value& out = graph_.value(node.output);
    const auto at = static_cast<size_t>(node.output);
    if (out.kind != ValueKind::kTemp || out.producer != id)
      Refuse(node, "does not own its output {}", Label(out));
    if (written_[at]) Refuse(node, "writes {} a second time", Label(out));
    if (out.dtype != inferred.dtype || out.shape != inferred.shape)
      Refuse(node, "gives {}, but {} is {}",
             TypeString(inferred.dtype, inferred.shape), Label(out),
             TypeString(out.dtype, out.shape));
    written_[at] = true;
    CheckState(node);
    if (node.op == Op::kReshape && sliced_[static_cast<size_t>(node.inputs[0])])
      Refuse(node, "reads a slice, which is not dense");
    sliced_[at] = node.op == Op::kSlice;
    if (!std::all_of(node.backend.begin(), node.backend.end(), IsNameChar))
      Refuse(node, "stands on '{}', which is no name", node.backend);
  }

  void CheckRead(const Node& node, ValueId input) {
    if (input == kNoValue) return;
    if (input < 0 || static_cast<size_t>(input) >= graph_.values.size())
      Refuse(node, "reads value {}, which does not exist", input);
    const auto at = static_cast<size_t>(input);
    if (graph_.values[at].kind == ValueKind::kTemp && !written_[at])
      Refuse(node, "reads {} before it is made", Label(graph_.values[at]));
    if (dead_[at])
      Refuse(node, "reads {}, which a kv_write has overwritten",
             Label(graph_.values[at]));
  }

  // A state, or what a kv_write made of one.
  bool IsStateLike(ValueId id) const {
    const Value& value = graph_.value(id);
    return value.kind == ValueKind::kState ||
           (value.kind == ValueKind::kTemp && value.producer >= 0 &&
            graph_.node(value.producer).op == Op::kKvWrite);
  }

  void CheckState(const Node& node) {
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      if (node.inputs[i] == kNoValue) continue;
      const bool wanted =
          (node.op == Op::kKvWrite && i == 0) ||
          (node.op == Op::kCachedAttention && (i == 1 || i == 2));
      const bool is = IsStateLike(node.inputs[i]);
      if (wanted && !is) Refuse(node, "wants a state as operand {}", i);
      if (!wanted && is) Refuse(node, "reads a state as operand {}", i);
    }
    if (node.op == Op::kKvWrite)
      dead_[static_cast<size_t>(node.inputs[0])] = true;
  }

  void CheckOutputs() {
    std::unordered_set<ValueId> seen;
    for (const ValueId id : graph_.outputs) {
      if (id < 0 || static_cast<size_t>(id) >= graph_.values.size())
        Fail(ErrorCode::kInternal, "{}: output {} does not exist", graph_.title,
             id);
      const Value& value = graph_.value(id);
      if (value.kind != ValueKind::kTemp || IsStateLike(id) ||
          IsView(graph_.node(value.producer).op))
        Refuse(value, "cannot be an output: it has no memory of its own");
      if (!seen.insert(id).second) Refuse(value, "is an output twice");
    }
  }

  const Graph& graph_;
  std::unordered_set<std::string_view> names_;
  std::vector<bool> written_;  // by value: its producer has been seen
  std::vector<bool> dead_;     // by value: overwritten in place
  std::vector<bool> sliced_;   // by value: strided view
};

}  // namespace

void Verify(const Graph& graph) { Verifier(graph).Run(); }

void VerifyAfter(const Graph& graph, std::string_view when) {
  try {
    Verify(graph);
  } catch (const Error& error) {
    throw Error(error.code(), fmt::format("{}: {}", when, error.what()));
  }
}

}  // namespace sotto::ir
