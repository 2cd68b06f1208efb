// SPDX-License-Identifier: MIT
#include "compile/compiler.h"

#include <chrono>
#include <functional>

#include "base/error.h"
#include "base/log.h"
#include "base/trace.h"
#include "compile/memory_plan.h"
#include "ir/text.h"
#include "ir/verify.h"

namespace sotto {
namespace {

using Check = std::function<void(const ir::Graph&)>;

struct Job {
  const ir::Graph& graph;
  const WeightReader& weights;
  const Profile& profile;
  std::span<Backend* const> backends;
  CompileReport& report;
  Check check;  // what must hold behind every pass
};

void Keep(const Job& job, std::string_view pass, const ir::Graph& graph) {
  if (job.report.keep_graphs)
    job.report.graphs.emplace_back(pass, ir::Print(graph));
}

ir::Graph RunPasses(const Job& job, const StageOptions& options) {
  job.report.fusion = {};
  job.report.graphs.clear();
  const PassContext context{.options = options,
                            .kv = job.profile.KvDType(),
                            .backends = job.backends,
                            .report = &job.report.fusion};
  ir::Graph graph = job.graph;
  job.check(graph);
  Keep(job, "build", graph);
  for (const PassInfo& pass : kPasses) {
    graph = pass.run(graph, context);
    try {
      job.check(graph);
    } catch (const Error& error) {
      throw Error(error.code(),
                  fmt::format("after {}: {}", pass.name, error.what()));
    }
    Keep(job, pass.name, graph);
    if (options.passes.verbose)
      Log(LogLevel::kInfo, "compile: {}: {} leaves {} nodes", graph.title,
          pass.name, graph.nodes.size());
  }
  return graph;
}

Backend& Named(std::span<Backend* const> backends, const std::string& name) {
  for (Backend* backend : backends)
    if (backend->name() == name) return *backend;
  Fail(ErrorCode::kInternal, "compile: no backend is named '{}'", name);
}

// Each maximal run of nodes on one backend becomes that backend's steps.
std::vector<std::unique_ptr<Step>> LowerAll(const Job& job,
                                            const ir::Graph& graph) {
  std::vector<std::unique_ptr<Step>> steps;
  for (size_t i = 0; i < graph.nodes.size();) {
    const std::string& name = graph.nodes[i].backend;
    std::vector<ir::NodeId> run;
    for (; i < graph.nodes.size() && graph.nodes[i].backend == name; ++i)
      run.push_back(static_cast<ir::NodeId>(i));
    for (auto& step : Named(job.backends, name).Lower(graph, run, job.weights))
      steps.push_back(std::move(step));
  }
  return steps;
}

bool IsHeavy(ir::Op op) {
  return op == ir::Op::kLinear || op == ir::Op::kConv1d ||
         op == ir::Op::kAttention || op == ir::Op::kCachedAttention;
}

// The reference kernels are some hundred times slower: never in silence. The
// backend was told whether it may use them (Profile::allow_ref).
void TellReference(const ir::Graph& graph,
                   std::span<const std::unique_ptr<Step>> steps) {
  for (const auto& step : steps) {
    const StepInfo& info = step->info();
    const ir::Node& node = graph.node(info.nodes.back());
    if (info.kernel != "ref" || !IsHeavy(node.op)) continue;
    Log(LogLevel::kInfo, "compile: {}: {} runs on the reference kernel: {}",
        graph.title, ir::Describe(graph, node), info.refused);
    return;
  }
}

// SOTTO_LOG=dispatch: what runs each node, and why nothing before it.
void TellKernels(const ir::Graph& graph,
                 std::span<const std::unique_ptr<Step>> steps) {
  if (!LogTopic("dispatch")) return;
  for (const auto& step : steps) {
    const StepInfo& info = step->info();
    Log(LogLevel::kDebug, "dispatch: {}: {} {}{}{}", graph.title, info.kernel,
        ir::Describe(graph, graph.node(info.nodes.back())),
        info.refused.empty() ? "" : "; not ", info.refused);
  }
}

std::shared_ptr<const Program> Finish(const Job& job, ir::Graph graph) {
  std::vector<std::unique_ptr<Step>> steps = LowerAll(job, graph);
  TellReference(graph, steps);
  TellKernels(graph, steps);
  PlannedMemory memory =
      PlanMemory(graph, steps, job.backends,
                 {.alignment = static_cast<size_t>(job.profile.alignment)});
  auto program = std::make_shared<Program>(std::move(graph), std::move(steps),
                                           std::move(memory.plan),
                                           std::move(memory.homes));
  program->set_scratch_offsets(std::move(memory.scratch_offsets));
  return program;
}

// A policy of kFusable goes without fusion where a fused node has no home.
std::shared_ptr<const Program> Run(const Job& job,
                                   const StageOptions& options) {
  const TraceScope scope("compile", "compile");
  const auto start = std::chrono::steady_clock::now();
  std::shared_ptr<const Program> program;
  try {
    program = Finish(job, RunPasses(job, options));
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kUnsupported || options.fuse.skip ||
        options.fuse.policy != FusionPolicy::kFusable)
      throw;
    job.report.without_fusion = error.what();
    Log(LogLevel::kInfo, "compile: without fusion: {}", error.what());
    StageOptions plain = options;
    plain.fuse.skip = true;
    program = Finish(job, RunPasses(job, plain));
  }
  job.report.milliseconds = std::chrono::duration<double, std::milli>(
                                std::chrono::steady_clock::now() - start)
                                .count();
  return program;
}

}  // namespace

std::shared_ptr<const Program> CompileGraph(const ir::Graph& graph,
                                            const WeightReader& weights,
                                            const Profile& profile,
                                            const StageOptions& options,
                                            std::span<Backend* const> backends,
                                            CompileReport* report) {
  CompileReport ignored;
  const Job job{.graph = graph,
                .weights = weights,
                .profile = profile,
                .backends = backends,
                .report = report != nullptr ? *report : ignored,
                .check = [](const ir::Graph& g) { ir::Verify(g); }};
  return Run(job, options);
}

std::shared_ptr<const Program> Compile(const ModelSpec& spec,
                                       const WeightReader& weights, Stage stage,
                                       const StageShape& shape,
                                       const Profile& profile,
                                       std::span<Backend* const> backends,
                                       CompileReport* report) {
  CompileReport ignored;
  const ir::Graph graph = BuildStage(spec, stage, shape);
  const Job job{
      .graph = graph,
      .weights = weights,
      .profile = profile,
      .backends = backends,
      .report = report != nullptr ? *report : ignored,
      .check = [&](const ir::Graph& g) { VerifyStage(spec, stage, shape, g); }};
  return Run(job, profile.Of(stage));
}

std::shared_ptr<const Program> Compile(const WeightStore& weights, Stage stage,
                                       const StageShape& shape,
                                       const Profile& profile,
                                       std::span<Backend* const> backends,
                                       CompileReport* report) {
  return Compile(weights.spec(), StoreReader(weights), stage, shape, profile,
                 backends, report);
}

}  // namespace sotto
