// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <iostream>
#include <utility>

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

// A bar on a terminal for each of two runs; its line is taken off in the end.
class SimulationBar {
 public:
  SimulationBar(std::string name, double clock_ghz)
      : name_(std::move(name)),
        cycles_per_ms_(clock_ghz * 1e6),
        shown_(isatty(STDERR_FILENO) != 0) {}
  ~SimulationBar() { Clear(); }
  void Clear() {
    if (std::exchange(drawn_, false)) std::cerr << "\r\x1b[K" << std::flush;
  }
  void Show(int64_t cycles, double done) {
    const auto now = std::chrono::steady_clock::now();
    if (!shown_ || now - last_ < std::chrono::milliseconds(100)) return;
    last_ = now;
    drawn_ = true;
    const int filled = static_cast<int>(done * kWidth);
    std::cerr << fmt::format(
                     "\r{} [{:#<{}}{:<{}}] run {} of 2, {:.1f} ms modelled",
                     name_, "", filled, "", kWidth - filled, run_,
                     static_cast<double>(cycles) / cycles_per_ms_)
              << std::flush;
  }
  void NextRun() { ++run_; }

 private:
  static constexpr int kWidth = 30;
  std::string name_;
  double cycles_per_ms_;
  bool shown_;
  bool drawn_ = false;
  int run_ = 1;
  std::chrono::steady_clock::time_point last_;
};

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
  SimulationBar bar(design.name, options.parameters.clock_ghz);
  options.progress = [&bar](int64_t cycles, double done) {
    bar.Show(cycles, done);
    return !StopAsked();
  };
  // Nothing is kept of a run that did not end.
  const StopSignals signals("stopping");
  npu::Array array(std::make_shared<const npu::ArrayConfig>(plan.config),
                   options);
  std::vector<Bytes> first = npu::TrialBuffers(design, request.seed);
  std::vector<Bytes> second = first;
  RunOnce(array, plan.stream, &first);
  bar.NextRun();
  const npu::SimRun run = RunOnce(array, plan.stream, &second);
  bar.Clear();
  std::cout << fmt::format("{}: {}\n", design.name, design.what)
            << npu::ToString(run.report);
  if (!request.svg.empty()) {
    const std::filesystem::path timeline = request.svg;
    std::filesystem::path map = timeline;
    map.replace_filename(timeline.stem().string() + "-map.svg");
    WriteFileAtomic(timeline, npu::TimelineSvg(array.trace()));
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
