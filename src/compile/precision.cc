// SPDX-License-Identifier: MIT
// Precision: matrices and what feeds them in half the bytes, sums in f32. The
// residual stream, logits, biases, norms, positions and token ids keep their
// type: none of them costs time, and small errors there add up.
#include <vector>

#include "compile/passes.h"
#include "compile/rewrite.h"

namespace sotto {
namespace {

using ir::Op;
using ir::ValueId;

bool IsMatrixInput(Op op, size_t input) {
  if (op == Op::kLinear || op == Op::kConv1d) return input == 1;
  return op == Op::kEmbed && input == 1;
}

// Inputs that a kernel multiplies in the narrow type.
bool MultipliesInput(Op op, size_t input) {
  switch (op) {
    case Op::kLinear:
    case Op::kConv1d:
      return input == 0;
    case Op::kAttention:
      return true;
    case Op::kCachedAttention:
      return input == 0;
    case Op::kKvWrite:
      return input == 1;
    default:
      return false;
  }
}

// For each value: do all its readers multiply it (through slices too)?
std::vector<bool> OnlyMultiplied(const ir::Graph& graph) {
  std::vector<bool> only(graph.values.size(), true);
  for (const ValueId output : graph.outputs)
    only[static_cast<size_t>(output)] = false;
  for (size_t n = graph.nodes.size(); n-- > 0;) {
    const ir::Node& node = graph.nodes[n];
    const bool view = node.op == Op::kSlice || node.op == Op::kReshape;
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      if (node.inputs[i] == ir::kNoValue) continue;
      const bool narrow = view ? only[static_cast<size_t>(node.output)]
                               : MultipliesInput(node.op, i);
      if (!narrow) only[static_cast<size_t>(node.inputs[i])] = false;
    }
  }
  return only;
}

ir::Attrs WithOut(const ir::Attrs& attrs, DType out) {
  ir::Attrs changed = attrs;
  std::visit(
      [&](auto& a) {
        if constexpr (requires { a.out; }) a.out = out;
      },
      changed);
  return changed;
}

}  // namespace

std::string_view Name(Precision precision) {
  switch (precision) {
    case Precision::kF32: return "f32";
    case Precision::kF16: return "f16";
    case Precision::kBF16: return "bf16";
  }
  return "?";
}

ir::Graph ApplyPrecision(const ir::Graph& graph, Precision precision) {
  if (precision == Precision::kF32) return graph;
  const DType narrow =
      precision == Precision::kF16 ? DType::kF16 : DType::kBF16;
  // f16 is a storage type on CPUs: activations and caches stay f32 there.
  const DType flow = precision == Precision::kF16 ? DType::kF32 : DType::kBF16;
  ir::Graph typed = graph;
  for (const ir::Node& node : graph.nodes)
    for (size_t i = 0; i < node.inputs.size(); ++i)
      if (IsMatrixInput(node.op, i))
        typed.values[static_cast<size_t>(node.inputs[i])].dtype = narrow;
  for (ir::Value& value : typed.values)
    if (value.kind == ir::ValueKind::kState) value.dtype = flow;

  const std::vector<bool> only = OnlyMultiplied(typed);
  Rewriter rewriter(typed);
  for (const ir::Node& node : typed.nodes) {
    // An input of the program comes as f32 and is cast once for all readers.
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      if (node.inputs[i] == ir::kNoValue) continue;
      const ir::Value& in = typed.value(node.inputs[i]);
      if (flow == DType::kF32 || node.op != Op::kLinear || i != 0 ||
          in.kind != ir::ValueKind::kInput)
        continue;
      const ValueId mapped = rewriter.Map(node.inputs[i]);
      if (rewriter.graph().value(mapped).dtype != flow)
        rewriter.Set(node.inputs[i],
                     rewriter.graph().Add(Op::kCast, {mapped},
                                          ir::CastAttrs{flow},
                                          in.name + "." +
                                              std::string(Name(flow))));
    }
    const bool becomes_narrow = only[static_cast<size_t>(node.output)];
    rewriter.CopyWith(node, WithOut(node.attrs,
                                    becomes_narrow ? flow : DType::kF32));
  }
  return rewriter.Finish();
}

}  // namespace sotto
