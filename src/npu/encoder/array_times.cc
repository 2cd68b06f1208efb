// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <cstring>
#include <map>
#include <utility>
#include <vector>

#include "base/error.h"
#include "npu/design/planner.h"
#include "npu/encoder/array_design.h"
#include "npu/encoder/array_pack.h"
#include "npu/encoder/array_runner.h"

namespace sotto::npu {
namespace {

// Costs follow from a kernel's arguments, never from data: only what brings
// arguments has to run.
const KernelInfo* FindTimed(std::string_view name) {
  static const auto timed = [] {
    std::map<std::string_view, KernelInfo> map;
    for (KernelInfo info : Kernels()) {
      if (info.name != "passthrough_u8") info.call = nullptr;
      map.emplace(info.name, info);
    }
    return map;
  }();
  const auto found = timed.find(name);
  return found == timed.end() ? nullptr : &found->second;
}

double Ms(int64_t cycles, double ghz) {
  return static_cast<double>(cycles) / (ghz * 1e6);
}

std::string PhaseLine(const std::string& name, int times, const SimReport& r) {
  const double compute = r.Utilisation() * static_cast<double>(r.cycles);
  return fmt::format("| {} | {} | {} | {:.0f} | {:.0f} % | {:.1f} | {:.1f} |\n",
                     name, times, r.cycles, compute, 100 * r.Utilisation(),
                     static_cast<double>(r.ddr_read_bytes) / 1e6,
                     static_cast<double>(r.ddr_write_bytes) / 1e6);
}

// Of phases with equal work the first stands for all.
std::string Phases(const ArrayLayout& layout) {
  std::string text =
      "| phase | times | cycles | in kernels, a core | use | DDR read MB | "
      "written MB |\n| --- | --- | --- | --- | --- | --- | --- |\n";
  std::map<Phase::What, int> times;
  for (const Phase& p : layout.phases) ++times[p.what];
  std::map<Phase::What, bool> seen;
  for (size_t i = 0; i < layout.phases.size(); ++i) {
    const Phase& p = layout.phases[i];
    if (std::exchange(seen[p.what], true)) continue;
    std::string name = p.Name();
    if (name.starts_with("0.")) name = name.substr(2);
    text += PhaseLine(name, times[p.what],
                      TimeEncoder(layout.shape, layout.precision, {}, i, i));
  }
  return text;
}

}  // namespace

SimReport TimeEncoder(const EncoderShape& shape, EncoderPrecision precision,
                      SimOptions options, size_t first, size_t last) {
  const ArrayLayout layout = MakeArrayLayout(shape, precision);
  const Plan plan = MakePlan(MakeEncoderDesign(layout, first, last));
  options.find_kernel = FindTimed;
  Array array(std::make_shared<const ArrayConfig>(plan.config), options);
  const sotto::Buffer weights = PackArrayHeaders(layout);
  std::vector<std::vector<std::byte>> buffers;
  std::vector<std::span<std::byte>> spans;
  for (const int64_t bytes : layout.bytes)
    buffers.emplace_back(static_cast<size_t>(bytes));
  std::memcpy(buffers[1].data(), weights.data(), weights.size());
  for (std::vector<std::byte>& buffer : buffers) spans.emplace_back(buffer);
  const SimRun run = array.Run(plan.stream, spans);
  if (run.state != RunState::kCompleted)
    Fail(ErrorCode::kDevice, "npu: the encoder ended as {}: {}",
         Name(run.state), run.detail);
  return run.report;
}

std::string EncoderTimes(const EncoderShape& shape,
                         EncoderPrecision precision) {
  const ArrayLayout layout = MakeArrayLayout(shape, precision);
  const SimReport whole = TimeEncoder(shape, precision);
  SimOptions serial;
  serial.overlap = false;
  const SimReport without = TimeEncoder(shape, precision, serial);
  const double compute =
      whole.Utilisation() * static_cast<double>(whole.cycles);
  const double hidden = static_cast<double>(without.cycles - whole.cycles) /
                        (static_cast<double>(without.cycles) - compute);
  std::string text = fmt::format(
      "{}, modelled: {} cycles at 1.0 GHz, {:.1f} ms with {:.2f} ms of launch "
      "({:.2f} %), one submission\n16 cores, use {:.1f} %, imbalance {:.1f} %; "
      "DDR read {:.1f} MB, written {:.1f} MB\nwithout overlap {} cycles: "
      "{:.1f} % of what is not arithmetic hidden\n",
      layout.int8() ? "int8" : "bf16", whole.cycles, whole.milliseconds(),
      whole.parameters.launch_ms,
      100 * whole.parameters.launch_ms / whole.milliseconds(),
      100 * whole.Utilisation(), 100 * whole.Imbalance(),
      static_cast<double>(whole.ddr_read_bytes) / 1e6,
      static_cast<double>(whole.ddr_write_bytes) / 1e6, without.cycles,
      100 * hidden);
  text += Phases(layout);
  text += "| kernel | calls, a core | cycles, a core |\n| --- | --- | --- |\n";
  for (const auto& [name, kernel] : whole.kernels)
    text += fmt::format("| {} | {} | {} |\n", name, kernel.calls / 16,
                        kernel.cycles / 16);
  const auto with = [&](double ghz, double ddr) {
    SimOptions options;
    options.parameters.clock_ghz = ghz;
    options.parameters.ddr_read_gbps = ddr;
    options.parameters.ddr_write_gbps = ddr;
    const SimReport r = TimeEncoder(shape, precision, options);
    return fmt::format("| {:.2f} | {:.0f} | {:.1f} |\n", ghz, ddr,
                       Ms(r.cycles, ghz) + r.parameters.launch_ms);
  };
  text += "| clock GHz | DDR GB/s | ms |\n| --- | --- | --- |\n";
  for (const double ghz : {1.0, 1.25, 1.6}) text += with(ghz, 15);
  for (const double ddr : {10.0, 26.0}) text += with(1.0, ddr);
  return text;
}

}  // namespace sotto::npu
