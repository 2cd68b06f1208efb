// SPDX-License-Identifier: MIT
// Fusion: fewer passes over memory. QKV and a layer's cross K|V become one
// product, GELU and the residual sum move into the product before them.
#include <map>
#include <string>

#include "compile/passes.h"
#include "compile/rewrite.h"

namespace sotto {
namespace {

using ir::Op;
using ir::ValueId;

// "dec.3.attn" of the weight "dec.3.attn.q.w".
std::string BlockOf(const ir::Graph& graph, const ir::Node& linear) {
  const std::string& name = graph.value(linear.inputs[1]).name;
  const size_t end = name.rfind('.', name.rfind('.') - 1);
  return end == std::string::npos ? name : name.substr(0, end);
}

bool IsPlainLinear(const ir::Node& node) {
  return node.op == Op::kLinear &&
         (node.inputs.size() < 4 || node.inputs[3] == ir::kNoValue) &&
         std::get<ir::LinearAttrs>(node.attrs).act == ir::Activation::kNone;
}

ValueId BiasOf(const ir::Node& node) {
  return node.inputs.size() > 2 ? node.inputs[2] : ir::kNoValue;
}

// Products of the same input and block, in order: q, k, v or k, v.
using Groups = std::map<std::pair<ValueId, std::string>, std::vector<size_t>>;

Groups FindGroups(const ir::Graph& graph) {
  Groups groups;
  for (size_t i = 0; i < graph.nodes.size(); ++i)
    if (IsPlainLinear(graph.nodes[i]))
      groups[{graph.nodes[i].inputs[0], BlockOf(graph, graph.nodes[i])}]
          .push_back(i);
  return groups;
}

// A weight that stacks those of `nodes` on axis 0; input 1 or, with zeros
// where there is none, 2.
ValueId Stack(Rewriter& rewriter, const ir::Graph& graph,
              const std::vector<size_t>& nodes, size_t input,
              const std::string& name) {
  ir::Value stacked{.kind = ir::ValueKind::kWeight, .name = name};
  int64_t rows = 0;
  for (const size_t i : nodes) {
    const ir::Node& node = graph.nodes[i];
    const ir::Value& matrix = graph.value(node.inputs[1]);
    const ValueId id = input == 1 ? node.inputs[1] : BiasOf(node);
    rows += matrix.shape[0];
    if (id == ir::kNoValue) {
      stacked.parts.push_back({"", matrix.shape[0]});
      continue;
    }
    for (const ir::WeightPart& part : graph.value(id).parts)
      stacked.parts.push_back(part);
  }
  stacked.shape = input == 1
                      ? Shape{rows, graph.value(graph.nodes[nodes[0]].inputs[1])
                                        .shape[1]}
                      : Shape{rows};
  ir::Graph& to = rewriter.graph();
  to.values.push_back(std::move(stacked));
  return static_cast<ValueId>(to.values.size()) - 1;
}

// One product and a slice for each of `nodes`.
void EmitStacked(Rewriter& rewriter, const ir::Graph& graph,
                 const std::vector<size_t>& nodes, const std::string& block) {
  const std::string name = block + (nodes.size() == 3 ? ".qkv" : ".kv");
  const ValueId w = Stack(rewriter, graph, nodes, 1, name + ".w");
  bool any_bias = false;
  for (const size_t i : nodes)
    any_bias |= BiasOf(graph.nodes[i]) != ir::kNoValue;
  const ValueId b = any_bias ? Stack(rewriter, graph, nodes, 2, name + ".b")
                             : ir::kNoValue;
  ir::Graph& to = rewriter.graph();
  const ValueId all =
      to.Add(Op::kLinear, {rewriter.Map(graph.nodes[nodes[0]].inputs[0]), w, b},
             ir::LinearAttrs{}, name);
  int64_t at = 0;
  for (const size_t i : nodes) {
    const ir::Node& node = graph.nodes[i];
    const int64_t rows = graph.value(node.inputs[1]).shape[0];
    rewriter.Set(node.output,
                 to.Add(Op::kSlice, {all}, ir::SliceAttrs{at, at + rows},
                        graph.value(node.output).name));
    at += rows;
  }
}

ir::Graph FuseStacks(const ir::Graph& graph, const StageOptions& options,
                     FusionReport* report) {
  std::map<size_t, const Groups::value_type*> first_of;  // node -> its group
  std::vector<bool> gone(graph.nodes.size(), false);
  const Groups groups = FindGroups(graph);
  for (const auto& group : groups) {
    const std::vector<size_t>& nodes = group.second;
    const bool qkv = nodes.size() == 3 && options.fuse_qkv;
    const bool kv = nodes.size() == 2 && options.fuse_cross_kv;
    if (!qkv && !kv) continue;
    ++(qkv ? report->qkv : report->cross_kv);
    first_of[nodes[0]] = &group;
    for (const size_t i : nodes) gone[i] = true;
  }
  Rewriter rewriter(graph);
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const auto it = first_of.find(i);
    if (it != first_of.end())
      EmitStacked(rewriter, graph, it->second->second, it->second->first.second);
    else if (!gone[i])
      rewriter.Copy(graph.nodes[i]);
  }
  return rewriter.Finish();
}

bool TakesActivation(const ir::Node& node) {
  return node.op == Op::kLinear || node.op == Op::kConv1d;
}

ir::Attrs WithGelu(const ir::Attrs& attrs) {
  ir::Attrs out = attrs;
  if (auto* linear = std::get_if<ir::LinearAttrs>(&out))
    linear->act = ir::Activation::kGelu;
  if (auto* conv = std::get_if<ir::ConvAttrs>(&out))
    conv->act = ir::Activation::kGelu;
  return out;
}

ir::Graph FuseActivations(const ir::Graph& graph, FusionReport* report) {
  const std::vector<int> uses = CountUses(graph);
  std::vector<bool> gone(graph.nodes.size(), false);
  Rewriter rewriter(graph);
  // A product whose only reader is a GELU waits for it.
  const auto fused_producer = [&](const ir::Node& node) -> const ir::Node* {
    if (node.op != Op::kGelu) return nullptr;
    const ir::Value& in = graph.value(node.inputs[0]);
    if (in.producer < 0 || uses[static_cast<size_t>(node.inputs[0])] != 1)
      return nullptr;
    const ir::Node& producer = graph.node(in.producer);
    const bool free = producer.inputs.size() < 4 ||
                      producer.inputs[3] == ir::kNoValue;
    return TakesActivation(producer) && free ? &producer : nullptr;
  };
  for (const ir::Node& node : graph.nodes)
    if (fused_producer(node) != nullptr)
      gone[static_cast<size_t>(graph.value(node.inputs[0]).producer)] = true;
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const ir::Node& node = graph.nodes[i];
    if (gone[i]) continue;
    if (const ir::Node* producer = fused_producer(node)) {
      ++report->activation;
      const ValueId fresh =
          rewriter.CopyWith(*producer, WithGelu(producer->attrs));
      rewriter.Set(node.output, fresh);
    } else {
      rewriter.Copy(node);
    }
  }
  return rewriter.Finish();
}

// Which input of an Add is a product that nobody else reads: 0, 1 or -1.
int FusibleTerm(const ir::Graph& graph, const ir::Node& add,
                const std::vector<int>& uses) {
  for (const int term : {1, 0}) {
    const ValueId id = add.inputs[static_cast<size_t>(term)];
    const ir::Value& value = graph.value(id);
    if (value.producer < 0 || uses[static_cast<size_t>(id)] != 1) continue;
    const ir::Node& producer = graph.node(value.producer);
    const ir::Value& other =
        graph.value(add.inputs[static_cast<size_t>(1 - term)]);
    if (TakesActivation(producer) &&
        (producer.inputs.size() < 4 || producer.inputs[3] == ir::kNoValue) &&
        value.shape == graph.value(add.output).shape &&
        other.dtype == DType::kF32)
      return term;
  }
  return -1;
}

ir::Graph FuseResiduals(const ir::Graph& graph, FusionReport* report) {
  const std::vector<int> uses = CountUses(graph);
  std::vector<bool> gone(graph.nodes.size(), false);
  for (const ir::Node& node : graph.nodes) {
    if (node.op != Op::kAdd) continue;
    const int term = FusibleTerm(graph, node, uses);
    if (term >= 0)
      gone[static_cast<size_t>(
          graph.value(node.inputs[static_cast<size_t>(term)]).producer)] = true;
  }
  Rewriter rewriter(graph);
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const ir::Node& node = graph.nodes[i];
    if (gone[i]) continue;
    const int term =
        node.op == Op::kAdd ? FusibleTerm(graph, node, uses) : -1;
    if (term < 0) {
      rewriter.Copy(node);
      continue;
    }
    ++report->residual;
    ir::Node product = graph.node(
        graph.value(node.inputs[static_cast<size_t>(term)]).producer);
    product.inputs.resize(4, ir::kNoValue);
    product.inputs[3] = node.inputs[static_cast<size_t>(1 - term)];
    rewriter.Set(node.output, rewriter.Copy(product));
  }
  return rewriter.Finish();
}

}  // namespace

std::string FusionReport::ToString() const {
  return fmt::format("{} qkv, {} cross k|v, {} activation, {} residual, {} left",
                     qkv, cross_kv, activation, residual, left);
}

ir::Graph Fuse(const ir::Graph& graph, const StageOptions& options,
               FusionReport* report) {
  ir::Graph fused = graph;
  if (!options.skip_fusion) {
    if (options.fuse_qkv || options.fuse_cross_kv)
      fused = FuseStacks(fused, options, report);
    if (options.fuse_activation) fused = FuseActivations(fused, report);
    if (options.fuse_residual) fused = FuseResiduals(fused, report);
  }
  // What a full fusion would still find is what was left.
  FusionReport rest;
  FuseResiduals(FuseActivations(FuseStacks(fused, {}, &rest), &rest), &rest);
  report->left = rest.qkv + rest.cross_kv + rest.activation + rest.residual;
  return fused;
}

}  // namespace sotto
