// SPDX-License-Identifier: MIT
// Auto-mixed precision. What only matrices read is written in low precision
// by whoever makes it; everything else, and every sum, stays f32. Integers
// are never touched.
#include <map>

#include "base/error.h"
#include "compile/passes.h"
#include "compile/rewrite.h"
#include "ir/attrs.h"

namespace sotto {
namespace {

using ir::Op;

DType MatrixType(Precision precision) {
  switch (precision) {
    case Precision::kF32:
      return DType::kF32;
    case Precision::kF16:
      return DType::kF16;
    case Precision::kBF16:
      return DType::kBF16;
    case Precision::kInt8:
      return DType::kI8;
  }
  return DType::kF32;
}

// note: half precision is for weights only. Its range would not hold the
// activations of the larger models, and no kernel multiplies in it. With int8
// weights a backend rounds activations as it likes; the graph says bf16.
DType ActivationType(Precision precision) {
  return precision == Precision::kBF16 || precision == Precision::kInt8
             ? DType::kBF16
             : DType::kF32;
}

// Is operand i a factor of a product, rather than a summand or an index?
bool IsFactor(Op op, size_t i) {
  switch (op) {
    case Op::kLinear:
    case Op::kConv1d:
    case Op::kCachedAttention:
      return i == 0;
    case Op::kAttention:
      return true;
    case Op::kKvWrite:
      return i == 1;
    default:
      return false;
  }
}

// Ops that hand values on as they are.
bool HandsOn(Op op) {
  return op == Op::kTranspose || op == Op::kSlice || op == Op::kReshape ||
         op == Op::kSelectRows;
}

// By value: does nothing but products read it?
std::vector<bool> FactorsOnly(const ir::Graph& graph, const Uses& uses) {
  std::vector<bool> low(graph.values.size(), false);
  for (size_t i = graph.nodes.size(); i-- > 0;) {
    const ir::ValueId out = graph.nodes[i].output;
    bool all = !uses.IsOutput(out) && !uses.Of(out).empty();
    for (const ir::NodeId reader : uses.Of(out)) {
      const ir::Node& node = graph.node(reader);
      for (size_t k = 0; k < node.inputs.size(); ++k) {
        if (node.inputs[k] != out) continue;
        const bool through =
            HandsOn(node.op) && k == 0 && low[static_cast<size_t>(node.output)];
        all = all && (through || IsFactor(node.op, k));
      }
    }
    low[static_cast<size_t>(out)] = all;
  }
  return low;
}

class PrecisionPass {
 public:
  PrecisionPass(const ir::Graph& graph, const PassContext& context)
      : graph_(graph),
        matrix_(MatrixType(context.options.precision)),
        activation_(ActivationType(context.options.precision)),
        uses_(graph),
        low_(FactorsOnly(graph, uses_)),
        rewriter_(graph) {
    for (ir::Value& value : rewriter_.to().values)
      if (value.kind == ir::ValueKind::kState) value.dtype = context.kv;
  }

  ir::Graph Run() {
    for (const ir::Node& node : graph_.nodes) {
      SetWeight(node);
      CastFactors(node);
      Give(node);
    }
    return rewriter_.Take();
  }

 private:
  void SetWeight(const ir::Node& node) {
    if (node.op != Op::kLinear && node.op != Op::kConv1d &&
        node.op != Op::kEmbed)
      return;
    const ir::ValueId w = rewriter_.Map(node.inputs[1]);
    ir::Value& value = rewriter_.to().values[static_cast<size_t>(w)];
    if (value.kind == ir::ValueKind::kWeight) value.dtype = matrix_;
  }

  // A matrix takes low precision only. Others widen or round as they read:
  // convolutions while they pad, kv_write while it packs.
  void CastFactors(const ir::Node& node) {
    if (node.op != Op::kLinear || activation_ == DType::kF32) return;
    const ir::ValueId x = rewriter_.Map(node.inputs[0]);
    const ir::Value& value = rewriter_.to().value(x);
    if (value.dtype == activation_) return;
    auto [cast, first] = casts_.try_emplace(x, ir::kNoValue);
    if (first)
      cast->second = rewriter_.to().Add(
          Op::kCast, {x}, ir::CastAttrs{activation_},
          rewriter_.Fresh(value.name + "." + std::string(Name(activation_))));
    cast_of_[&node] = cast->second;
  }

  void Give(const ir::Node& node) {
    ir::Attrs attrs = node.attrs;
    if (DType* out = ir::OutType(attrs))
      *out = low_[static_cast<size_t>(node.output)] ? activation_ : DType::kF32;
    const auto cast = cast_of_.find(&node);
    if (cast == cast_of_.end()) {
      rewriter_.Copy(node, attrs);
      return;
    }
    std::vector<ir::ValueId> inputs;
    for (const ir::ValueId input : node.inputs)
      inputs.push_back(rewriter_.Map(input));
    inputs[0] = cast->second;
    rewriter_.Emit(node.output, node.op, std::move(inputs), attrs);
  }

  const ir::Graph& graph_;
  DType matrix_;
  DType activation_;
  Uses uses_;
  std::vector<bool> low_;
  Rewriter rewriter_;
  std::map<ir::ValueId, ir::ValueId> casts_;  // value -> its cast
  std::map<const ir::Node*, ir::ValueId> cast_of_;
};

}  // namespace

ir::Graph SetPrecision(const ir::Graph& graph, const PassContext& context) {
  if (context.options.precision != Precision::kF32 &&
      context.options.mixed != Mixed::kAuto)
    Fail(ErrorCode::kUnsupported,
         "{}: low precision without mixed = auto: sums stay f32", graph.title);
  return PrecisionPass(graph, context).Run();
}

}  // namespace sotto
