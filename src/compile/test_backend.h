// SPDX-License-Identifier: MIT
// A backend for tests of the compiler: takes every node but those it is told
// to refuse, and lowers each to a step that does nothing.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "runtime/backend.h"
#include "runtime/weight_reader.h"

namespace sotto {

class TestStep final : public Step {
 public:
  TestStep(const ir::Graph& graph, ir::NodeId node) {
    info_.nodes = {node};
    info_.op = std::string(ir::Info(graph.node(node).op).name);
    info_.kernel = "test";
  }
  void set_scratch(size_t bytes) { info_.scratch_bytes = bytes; }
  void Run(const Frame&) const override {}
};

class TestBackend final : public Backend {
 public:
  // Why a node cannot run, or nothing.
  using Refusal = std::function<std::string(const ir::Graph&, const ir::Node&)>;
  explicit TestBackend(std::string name = "test", Refusal refuse = {})
      : name_(std::move(name)), refuse_(std::move(refuse)) {}

  std::string_view name() const override { return name_; }
  std::string Refuse(const ir::Graph& graph, ir::NodeId node) const override {
    return refuse_ ? refuse_(graph, graph.node(node)) : "";
  }
  size_t StateBytes(const ir::Value& state) const override {
    return BytesOf(state.dtype, static_cast<size_t>(state.shape.Elements()));
  }
  std::vector<std::unique_ptr<Step>> Lower(const ir::Graph& graph,
                                           std::span<const ir::NodeId> nodes,
                                           const WeightReader&) override {
    std::vector<std::unique_ptr<Step>> steps;
    for (const ir::NodeId node : nodes)
      if (!ir::IsView(graph.node(node).op))
        steps.push_back(std::make_unique<TestStep>(graph, node));
    return steps;
  }
  std::vector<std::unique_ptr<Step>> LowerAll(const ir::Graph& graph);
  size_t packed_bytes() const override { return 0; }
  size_t weight_bytes_copied() const override { return 0; }

 private:
  std::string name_;
  Refusal refuse_;
};

// For backends that never read a weight.
class NoWeights final : public WeightReader {
 public:
  void Read(std::string_view, int64_t, int64_t, float*) const override {}
  void Release(std::string_view) const override {}
};

inline std::vector<std::unique_ptr<Step>> TestBackend::LowerAll(
    const ir::Graph& graph) {
  std::vector<ir::NodeId> nodes;
  for (size_t i = 0; i < graph.nodes.size(); ++i)
    nodes.push_back(static_cast<ir::NodeId>(i));
  return Lower(graph, nodes, NoWeights());
}

}  // namespace sotto
