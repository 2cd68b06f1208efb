// SPDX-License-Identifier: MIT
#include "compile/fuse_match.h"

#include <algorithm>

namespace sotto {
namespace {

using ir::Op;

ir::ValueId Operand(const ir::Node& node, size_t i) {
  return i < node.inputs.size() ? node.inputs[i] : ir::kNoValue;
}

ir::NodeId ProducerOf(const ir::Graph& graph, ir::ValueId id) {
  return id == ir::kNoValue ? -1 : graph.value(id).producer;
}

ir::Activation ActOf(const ir::Node& node) {
  if (node.op == Op::kLinear) return std::get<ir::LinearAttrs>(node.attrs).act;
  return std::get<ir::ConvAttrs>(node.attrs).act;
}

// A linear of weights from the checkpoint without activation or residual, so
// that its rows may be stacked with others'.
bool IsPlainLinear(const ir::Graph& graph, const Uses& uses, ir::NodeId id) {
  if (id < 0) return false;
  const ir::Node& node = graph.node(id);
  if (node.op != Op::kLinear || ActOf(node) != ir::Activation::kNone ||
      Operand(node, 3) != ir::kNoValue || uses.IsOutput(node.output))
    return false;
  const ir::Value& w = graph.value(node.inputs[1]);
  const ir::ValueId b = Operand(node, 2);
  return w.kind == ir::ValueKind::kWeight &&
         (b == ir::kNoValue || graph.value(b).kind == ir::ValueKind::kWeight);
}

bool CanStack(const ir::Graph& graph, const Uses& uses,
              const std::vector<ir::NodeId>& linears) {
  for (const ir::NodeId id : linears) {
    if (!IsPlainLinear(graph, uses, id)) return false;
    const ir::Node& node = graph.node(id);
    const ir::Node& first = graph.node(linears[0]);
    if (node.inputs[0] != first.inputs[0] || node.attrs != first.attrs ||
        graph.value(node.inputs[1]).dtype !=
            graph.value(first.inputs[1]).dtype ||
        std::count(linears.begin(), linears.end(), id) != 1)
      return false;
  }
  return true;
}

// The rows behind a kv_write, or the value itself.
ir::ValueId RowsOf(const ir::Graph& graph, ir::ValueId id) {
  const ir::NodeId producer = ProducerOf(graph, id);
  if (producer < 0 || graph.node(producer).op != Op::kKvWrite) return id;
  return graph.node(producer).inputs[1];
}

// The linear or convolution whose only reader is `reader` and that has room
// for what `reader` does; -1 where there is none.
ir::NodeId Swallowed(const ir::Graph& graph, const Uses& uses, ir::ValueId id,
                     Op op) {
  const ir::NodeId producer = ProducerOf(graph, id);
  if (producer < 0 || !uses.IsPrivate(id)) return -1;
  const ir::Node& node = graph.node(producer);
  if (node.op != op || Operand(node, 3) != ir::kNoValue) return -1;
  // The result before was rounded to its own type; swallowing that is right
  // only where it was not.
  return graph.value(id).dtype == DType::kF32 ? producer : -1;
}

}  // namespace

std::vector<StackMatch> MatchQkv(const ir::Graph& graph, const Uses& uses) {
  std::vector<StackMatch> matches;
  for (const ir::Node& node : graph.nodes) {
    if (node.op != Op::kAttention && node.op != Op::kCachedAttention) continue;
    StackMatch match;
    for (size_t i = 0; i < 3; ++i)
      match.linears.push_back(ProducerOf(graph, RowsOf(graph, node.inputs[i])));
    if (CanStack(graph, uses, match.linears)) matches.push_back(match);
  }
  return matches;
}

std::vector<StackMatch> MatchCrossKv(const ir::Graph& graph, const Uses& uses) {
  std::vector<StackMatch> matches;
  const ir::Node* key = nullptr;
  for (const ir::Node& node : graph.nodes) {
    if (node.op != Op::kKvWrite) continue;
    if (std::get<ir::KvWriteAttrs>(node.attrs).kind == ir::KvKind::kKey) {
      key = &node;
      continue;
    }
    if (key == nullptr) continue;
    const StackMatch match = {
        {ProducerOf(graph, key->inputs[1]), ProducerOf(graph, node.inputs[1])}};
    // Where q is there too, it is a qkv and not ours.
    const bool read = !uses.Of(key->output).empty();
    if (!read && CanStack(graph, uses, match.linears)) matches.push_back(match);
    key = nullptr;
  }
  return matches;
}

std::vector<PairMatch> MatchGelu(const ir::Graph& graph, const Uses& uses) {
  std::vector<PairMatch> matches;
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const ir::Node& node = graph.nodes[i];
    if (node.op != Op::kGelu) continue;
    for (const Op op : {Op::kLinear, Op::kConv1d}) {
      const ir::NodeId first = Swallowed(graph, uses, node.inputs[0], op);
      if (first >= 0 && ActOf(graph.node(first)) == ir::Activation::kNone)
        matches.push_back({first, static_cast<ir::NodeId>(i)});
    }
  }
  return matches;
}

std::vector<PairMatch> MatchResidual(const ir::Graph& graph, const Uses& uses) {
  std::vector<PairMatch> matches;
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const ir::Node& node = graph.nodes[i];
    if (node.op != Op::kAdd || node.inputs[0] == node.inputs[1]) continue;
    const ir::Value& a = graph.value(node.inputs[0]);
    const ir::Value& b = graph.value(node.inputs[1]);
    if (a.shape != b.shape) continue;
    for (const size_t side : {1, 0}) {
      const ir::NodeId first =
          Swallowed(graph, uses, node.inputs[side], Op::kLinear);
      if (first < 0) continue;
      matches.push_back({first, static_cast<ir::NodeId>(i)});
      break;
    }
  }
  return matches;
}

std::vector<PairMatch> MatchPosition(const ir::Graph& graph, const Uses& uses) {
  std::vector<PairMatch> matches;
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const ir::Node& node = graph.nodes[i];
    if (node.op != Op::kAdd || graph.value(node.inputs[1]).shape.rank() < 2)
      continue;
    const ir::NodeId first =
        Swallowed(graph, uses, node.inputs[0], Op::kConv1d);
    if (first >= 0) matches.push_back({first, static_cast<ir::NodeId>(i)});
  }
  return matches;
}

}  // namespace sotto
