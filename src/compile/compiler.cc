// SPDX-License-Identifier: MIT
#include "compile/compiler.h"

#include "base/log.h"
#include "compile/memory_plan.h"
#include "ir/verify.h"

namespace sotto {
namespace {

// Checkpoint tensors for a backend that packs them.
class StoreReader : public WeightReader {
 public:
  explicit StoreReader(const WeightStore& store) : store_(store) {}
  void Read(std::string_view name, int64_t first, int64_t count,
            float* out) const override {
    store_.Read(name, first, count, out);
  }
  void Release(std::string_view name) const override { store_.Release(name); }

 private:
  const WeightStore& store_;
};

// Maximal runs of nodes on one backend become its steps, in order.
std::vector<std::unique_ptr<Step>> Lower(const ir::Graph& graph,
                                         const WeightStore& weights,
                                         std::span<Backend* const> backends) {
  const StoreReader reader(weights);
  std::vector<std::unique_ptr<Step>> steps;
  for (size_t begin = 0; begin < graph.nodes.size();) {
    std::vector<ir::NodeId> run;
    size_t end = begin;
    for (; end < graph.nodes.size() &&
           graph.nodes[end].backend == graph.nodes[begin].backend;
         ++end)
      run.push_back(static_cast<ir::NodeId>(end));
    for (Backend* backend : backends) {
      if (backend->name() != graph.nodes[begin].backend) continue;
      for (auto& step : backend->Lower(graph, run, reader))
        steps.push_back(std::move(step));
    }
    begin = end;
  }
  return steps;
}

}  // namespace

Compiled RunPasses(const ModelSpec& spec, Stage stage, const StageShape& shape,
                   const Profile& profile,
                   std::span<Backend* const> backends) {
  const StageOptions& options = profile.of(stage);
  Compiled result{BuildStage(spec, stage, shape), {}};
  ir::Graph& graph = result.graph;
  ir::Verify(graph);
  graph = Fuse(graph, options, &result.fusion);
  if (options.assert_clean && result.fusion.left > 0)
    Fail(ErrorCode::kBadInput, "{}: {} fusible patterns left: {}", graph.title,
         result.fusion.left, result.fusion.ToString());
  graph = ApplyPrecision(graph, options.precision);
  if (options.constant_folding) graph = FoldConstants(graph);
  if (options.dce) graph = RemoveDead(graph);
  graph = ApplyLayout(graph, options);
  graph = Place(graph, backends);
  ir::Verify(graph);
  if (profile.verbose)
    Log(LogLevel::kInfo, "{}: {}", graph.title, result.fusion.ToString());
  return result;
}

std::shared_ptr<const Program> Compile(const WeightStore& weights, Stage stage,
                                       const StageShape& shape,
                                       const Profile& profile,
                                       std::span<Backend* const> backends) {
  Compiled compiled =
      RunPasses(weights.spec(), stage, shape, profile, backends);
  auto steps = Lower(compiled.graph, weights, backends);
  PlannedMemory memory = PlanMemory(compiled.graph, steps, backends);
  auto program = std::make_shared<Program>(
      std::move(compiled.graph), std::move(steps), std::move(memory.plan),
      std::move(memory.homes));
  program->set_scratch_offsets(std::move(memory.scratch_offsets));
  return program;
}

}  // namespace sotto
