// SPDX-License-Identifier: MIT
#include <algorithm>
#include <map>

#include "base/error.h"
#include "compile/fuse_match.h"
#include "compile/passes.h"

namespace sotto {
namespace {

void Note(const PassContext& context, std::string_view kind,
          const std::string& node) {
  if (context.report != nullptr)
    context.report->entries.push_back({kind, node});
}

// "dec.0.attn.q" -> "dec.0.attn." + joined.
std::string StackName(const ir::Graph& graph, const StackMatch& match,
                      std::string_view joined) {
  const std::string& first =
      graph.value(graph.node(match.linears[0]).output).name;
  const size_t dot = first.rfind('.');
  return (dot == std::string::npos ? "" : first.substr(0, dot + 1)) +
         std::string(joined);
}

// The operands' parts one below the other. A linear without a bias has zeros
// there: k's rows of a fused QKV bias.
ir::ValueId StackWeights(Rewriter& rewriter, const StackMatch& match,
                         size_t operand, const std::string& name) {
  const ir::Graph& graph = rewriter.from();
  ir::Value stacked{.kind = ir::ValueKind::kWeight,
                    .name = rewriter.Fresh(name)};
  int64_t rows = 0;
  bool any = false;
  for (const ir::NodeId id : match.linears) {
    const ir::Node& node = graph.node(id);
    const ir::Value& w = graph.value(node.inputs[1]);
    rows += w.shape[0];
    if (operand >= node.inputs.size() || node.inputs[operand] == ir::kNoValue) {
      stacked.parts.push_back({.name = "", .rows = w.shape[0]});
      continue;
    }
    any = true;
    const ir::Value& part = graph.value(node.inputs[operand]);
    stacked.dtype = part.dtype;
    stacked.shape = part.shape;
    stacked.parts.insert(stacked.parts.end(), part.parts.begin(),
                         part.parts.end());
  }
  if (!any) return ir::kNoValue;
  stacked.shape[0] = rows;
  rewriter.to().values.push_back(std::move(stacked));
  return static_cast<ir::ValueId>(rewriter.to().values.size()) - 1;
}

// One linear and a slice for each that it replaces.
void EmitStack(Rewriter& rewriter, const StackMatch& match,
               const std::string& name) {
  const ir::Graph& graph = rewriter.from();
  const ir::Node& first = graph.node(match.linears[0]);
  const ir::ValueId w = StackWeights(rewriter, match, 1, name + ".w");
  const ir::ValueId b = StackWeights(rewriter, match, 2, name + ".b");
  std::vector<ir::ValueId> inputs = {rewriter.Map(first.inputs[0]), w};
  if (b != ir::kNoValue) inputs.push_back(b);
  const ir::ValueId all = rewriter.to().Add(ir::Op::kLinear, std::move(inputs),
                                            first.attrs, rewriter.Fresh(name));
  int64_t begin = 0;
  for (const ir::NodeId id : match.linears) {
    const ir::Node& node = graph.node(id);
    const int64_t end = begin + graph.value(node.inputs[1]).shape[0];
    rewriter.Emit(node.output, ir::Op::kSlice, {all},
                  ir::SliceAttrs{begin, end});
    begin = end;
  }
}

ir::Graph Stack(const ir::Graph& graph, const PassContext& context,
                const std::vector<StackMatch>& matches, std::string_view kind,
                std::string_view joined) {
  // The fused linear stands where the first of its linears stood.
  std::map<ir::NodeId, const StackMatch*> starts;
  std::vector<bool> gone(graph.nodes.size(), false);
  for (const StackMatch& match : matches) {
    starts[*std::min_element(match.linears.begin(), match.linears.end())] =
        &match;
    for (const ir::NodeId id : match.linears)
      gone[static_cast<size_t>(id)] = true;
  }
  Rewriter rewriter(graph);
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const auto start = starts.find(static_cast<ir::NodeId>(i));
    if (start != starts.end()) {
      const std::string name = StackName(graph, *start->second, joined);
      EmitStack(rewriter, *start->second, name);
      Note(context, kind, name);
    } else if (!gone[i]) {
      rewriter.Copy(graph.nodes[i]);
    }
  }
  return rewriter.Take();
}

// first's operands and attributes with what second does added to them.
void EmitPair(Rewriter& rewriter, const ir::Node& first,
              const ir::Node& second) {
  std::vector<ir::ValueId> inputs;
  for (const ir::ValueId input : first.inputs)
    inputs.push_back(rewriter.Map(input));
  ir::Attrs attrs = first.attrs;
  const DType out = std::get<ir::CastAttrs>(second.attrs).out;
  if (second.op == ir::Op::kAdd) {
    const bool left = second.inputs[0] == first.output;
    inputs.resize(4, ir::kNoValue);
    inputs[3] = rewriter.Map(second.inputs[left ? 1 : 0]);
  }
  std::visit(
      [&](auto& set) {
        if constexpr (requires { set.act; }) {
          if (second.op == ir::Op::kGelu) set.act = ir::Activation::kGelu;
          set.out = out;
        }
      },
      attrs);
  rewriter.Emit(second.output, first.op, std::move(inputs), attrs);
}

ir::Graph Swallow(const ir::Graph& graph, const PassContext& context,
                  const std::vector<PairMatch>& matches,
                  std::string_view kind) {
  std::map<ir::NodeId, ir::NodeId> first_of;
  std::vector<bool> gone(graph.nodes.size(), false);
  for (const PairMatch& match : matches) {
    first_of[match.second] = match.first;
    gone[static_cast<size_t>(match.first)] = true;
  }
  Rewriter rewriter(graph);
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const auto found = first_of.find(static_cast<ir::NodeId>(i));
    if (found != first_of.end()) {
      const ir::Node& first = graph.node(found->second);
      EmitPair(rewriter, first, graph.nodes[i]);
      // Named after the matrix, which says what was fused.
      Note(context, kind, graph.value(first.inputs[1]).name);
    } else if (!gone[i]) {
      rewriter.Copy(graph.nodes[i]);
    }
  }
  return rewriter.Take();
}

}  // namespace

int FusionReport::Count(std::string_view kind) const { return Count(kind, ""); }

int FusionReport::Count(std::string_view kind, std::string_view suffix) const {
  return static_cast<int>(
      std::count_if(entries.begin(), entries.end(), [&](const Entry& entry) {
        return entry.kind == kind && entry.node.ends_with(suffix);
      }));
}

std::string FusionReport::ToString() const {
  std::map<std::string_view, int> counts;
  for (const Entry& entry : entries) ++counts[entry.kind];
  std::string text = "fused:";
  for (const auto& [kind, count] : counts)
    text += fmt::format(" {}={}", kind, count);
  if (counts.empty()) text += " nothing";
  text += "\n";
  for (const Entry& entry : entries)
    text += fmt::format("  {} {}\n", entry.kind, entry.node);
  return text;
}

std::vector<std::string> UnfusedPatterns(const ir::Graph& graph) {
  const Uses uses(graph);
  std::vector<std::string> lines;
  const auto stacks = [&](std::string_view kind,
                          const std::vector<StackMatch>& matches) {
    for (const StackMatch& match : matches)
      lines.push_back(fmt::format("{} {}", kind, StackName(graph, match, "*")));
  };
  const auto pairs = [&](std::string_view kind,
                         const std::vector<PairMatch>& matches) {
    for (const PairMatch& match : matches)
      lines.push_back(
          fmt::format("{} {}", kind,
                      ir::Label(graph.value(graph.node(match.second).output))));
  };
  stacks("qkv", MatchQkv(graph, uses));
  stacks("cross_kv", MatchCrossKv(graph, uses));
  pairs("gelu", MatchGelu(graph, uses));
  pairs("residual", MatchResidual(graph, uses));
  pairs("position", MatchPosition(graph, uses));
  return lines;
}

ir::Graph Fuse(const ir::Graph& graph, const PassContext& context) {
  const FuseOptions& fuse = context.options.fuse;
  const bool any = !fuse.skip;
  const bool elements = any && !fuse.unfuse;
  ir::Graph g = graph;
  if (any && fuse.qkv)
    g = Stack(g, context, MatchQkv(g, Uses(g)), "qkv", "qkv");
  if (any && fuse.cross_kv)
    g = Stack(g, context, MatchCrossKv(g, Uses(g)), "cross_kv", "kv");
  if (elements && fuse.bias_gelu)
    g = Swallow(g, context, MatchGelu(g, Uses(g)), "gelu");
  if (elements && fuse.residual)
    g = Swallow(g, context, MatchResidual(g, Uses(g)), "residual");
  if (elements && fuse.position)
    g = Swallow(g, context, MatchPosition(g, Uses(g)), "position");
  if (fuse.assert_clean) {
    const std::vector<std::string> left = UnfusedPatterns(g);
    if (!left.empty())
      Fail(ErrorCode::kInternal,
           "{}: {} patterns are left unfused, the first is {}", g.title,
           left.size(), left[0]);
  }
  return g;
}

}  // namespace sotto
