// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <iostream>

#include "apps/cli/common.h"
#include "apps/cli/npu.h"
#include "base/error.h"
#include "base/file.h"
#include "base/stop_signal.h"
#include "npu/design/planner.h"
#include "npu/run/design_list.h"
#include "npu/sim/svg.h"
#include "npu/sim/trace.h"

namespace sotto::cli {
namespace {

using Bytes = std::vector<std::byte>;

npu::SimRun RunOnce(npu::Array& array, const npu::TxnStream& stream,
                    std::vector<Bytes>* buffers) {
  std::vector<std::span<std::byte>> spans;
  for (Bytes& b : *buffers) spans.emplace_back(b);
  npu::SimRun run = array.Run(stream, spans);
  if (run.state == npu::RunState::kAbort)
    Fail(ErrorCode::kCancelled, "simulation stopped after {} cycles",
         run.report.cycles);
  if (run.state != npu::RunState::kCompleted)
    Fail(ErrorCode::kDevice, "{}: {}", npu::Name(run.state), run.detail);
  return run;
}

}  // namespace

void SimulateDesign(const SimulateRequest& request) {
  const npu::Design design = npu::MakeDesign(request.name);
  const npu::Plan plan = npu::MakePlan(design);
  npu::SimOptions options = request.options;
  options.corrupting_stack = design.compat;
  ProgressLine progress(design.name, "runs");
  int run_before = 0;
  options.progress = [&](int64_t, double done) {
    progress.Show(run_before + done, 2);
    return !StopAsked();
  };
  // Nothing is kept of a run that did not end.
  const StopSignals signals("stopping");
  npu::Array array(std::make_shared<const npu::ArrayConfig>(plan.config),
                   options);
  std::vector<Bytes> first = npu::TrialBuffers(design, request.seed);
  std::vector<Bytes> second = first;
  RunOnce(array, plan.stream, &first);
  // Now, since the second run's intervals come after these.
  const std::string timeline_svg =
      request.svg.empty() ? "" : npu::TimelineSvg(array.trace());
  run_before = 1;
  const npu::SimRun run = RunOnce(array, plan.stream, &second);
  progress.Clear();
  std::cout << fmt::format("{}: {}\n", design.name, design.what)
            << npu::ToString(run.report);
  if (!request.svg.empty()) {
    const std::filesystem::path timeline = request.svg;
    std::filesystem::path map = timeline;
    map.replace_filename(timeline.stem().string() + "-map.svg");
    WriteFileAtomic(timeline, timeline_svg);
    WriteFileAtomic(map, npu::ArrayMapSvg(array.config(), &run.report));
    std::cout << fmt::format("pictures: {} {}\n", timeline.string(),
                             map.string());
  }
  if (first == second)
    std::cout << "two runs on the same data: equal\n";
  else
    std::cout << "two runs on the same data: DIFFERENT (a stack that "
                 "overflows into a buffer does that)\n";
}

}  // namespace sotto::cli
