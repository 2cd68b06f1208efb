// SPDX-License-Identifier: MIT
// sotto npu: kernels, designs, the simulated array, packages, scales.
#include "apps/cli/npu.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <iostream>
#include <nlohmann/json.hpp>

#include "apps/cli/commands.h"
#include "apps/cli/common.h"
#include "base/did_you_mean.h"
#include "base/error.h"
#include "base/file.h"
#include "npu/design/kernel_sizes.h"
#include "npu/design/planner.h"
#include "npu/emit/build.h"
#include "npu/emit/mlir.h"
#include "npu/encoder/array_runner.h"
#include "npu/encoder/device_runner.h"
#include "npu/host/this_npu.h"
#include "npu/run/design_list.h"
#include "npu/run/kernel_run.h"
#include "npu/run/launch.h"
#include "npu/run/tiles.h"
#include "npu/sim/device.h"
#include "npu/sim/validate.h"

namespace sotto::cli {
namespace {

using nlohmann::ordered_json;

const npu::KernelInfo& KernelNamed(const std::string& name) {
  if (const npu::KernelInfo* kernel = npu::FindKernel(name)) return *kernel;
  std::vector<std::string_view> names;
  for (const npu::KernelInfo& k : npu::Kernels()) names.push_back(k.name);
  const std::string meant = DidYouMean(name, names);
  Fail(ErrorCode::kBadInput, "no NPU kernel named {}{}", name,
       meant.empty() ? ", see `sotto npu kernels`" : meant);
}

// Of one argument; `ints`: of those that are left.
std::string ArgText(const npu::KernelArg& arg,
                    std::span<const npu::KernelInt>* ints) {
  const char* way = "";
  switch (arg.kind) {
    case npu::KernelArg::Kind::kInt: {
      const npu::KernelInt& one = ints->front();
      *ints = ints->subspan(1);
      return fmt::format("{} = {}", one.name, one.usual);
    }
    case npu::KernelArg::Kind::kIn:
      break;
    case npu::KernelArg::Kind::kOut:
      way = "out ";
      break;
    case npu::KernelArg::Kind::kInOut:
      way = "inout ";
      break;
  }
  return fmt::format("{}{}[{}]", way, arg.type,
                     arg.elements ? std::to_string(arg.elements) : "");
}

int ListKernels(bool json) {
  ordered_json list = ordered_json::array();
  for (const npu::KernelInfo& k : npu::Kernels()) {
    std::vector<std::string> args;
    std::span<const npu::KernelInt> ints = npu::IntsOf(k);
    for (const npu::KernelArg& arg : k.args)
      args.push_back(ArgText(arg, &ints));
    if (json) {
      list.push_back({{"name", k.name},
                      {"arguments", args},
                      {"stack_bytes", k.frame_bytes},
                      {"program_bytes", k.code_bytes},
                      {"compat", k.compat}});
      continue;
    }
    std::cout << fmt::format("{:28} stack {:5}  program {:5}  {}({})\n", k.name,
                             k.frame_bytes, k.code_bytes,
                             k.compat ? "compat " : "", fmt::join(args, ", "));
  }
  if (json) std::cout << list.dump(1) << '\n';
  return kDone;
}

int ListDesigns() {
  for (const npu::DesignInfo& d : npu::Designs())
    std::cout << fmt::format("{:26} {}\n", d.name, d.what);
  std::cout << "single/KERNEL              any kernel on one core\n";
  return kDone;
}

void PrintTools(const npu::Environment& environment, bool json) {
  if (json) {
    std::cout << npu::ToJson(environment);
    return;
  }
  for (const npu::ToolCheck& tool : environment.findings) {
    std::cout << fmt::format("{:5} {:12} {}\n", tool.found ? "ok" : "-",
                             tool.id, tool.detail);
    if (!tool.fix.empty())
      std::cout << fmt::format("{:19}fix: {}\n", "", tool.fix);
  }
  std::cout << (environment.CanBuild()
                    ? "`sotto npu build` can compile for a real NPU\n"
                    : "`sotto npu build` cannot compile for a real NPU\n");
}

void PrintRun(const npu::KernelRunResult& run, bool json) {
  const char* tag = run.modelled ? "modelled" : "measured";
  if (json) {
    ordered_json out = {{"kernel", run.kernel},
                        {"device", run.device},
                        {"tag", tag},
                        {"iterations", run.iterations},
                        {"ms",
                         {{"mean", run.ms.mean},
                          {"std", run.ms.std},
                          {"min", run.ms.min},
                          {"max", run.ms.max},
                          {"p95", run.ms.p95}}},
                        {"compared_bytes", run.compared_bytes},
                        {"wrong_bytes", run.wrong_bytes}};
    if (run.modelled) out["clock_ghz"] = run.clock_ghz;
    if (run.power)
      out["power"] = {{"watts", run.power->watts},
                      {"source", run.power->source},
                      {"tag", "measured"}};
    if (run.report) out["array_cycles"] = run.report->cycles;
    std::cout << out.dump(1) << '\n';
    return;
  }
  std::cout << fmt::format(
      "{} on {}, {} runs{}\n"
      "  ms, {}: mean {:.4f}  std {:.4f}  min {:.4f}  max {:.4f}  p95 {:.4f}\n",
      run.kernel, run.device, run.iterations,
      run.modelled ? fmt::format(", {} GHz", run.clock_ghz) : "", tag,
      run.ms.mean, run.ms.std, run.ms.min, run.ms.max, run.ms.p95);
  if (run.report)
    std::cout << fmt::format("  array {} cycles, modelled\n",
                             run.report->cycles);
  if (run.power)
    std::cout << fmt::format("  {:.1f} W, measured ({}, the whole package)\n",
                             run.power->watts, run.power->source);
  std::cout << (run.wrong_bytes == 0
                    ? fmt::format("  all {} bytes as the kernel gives them\n",
                                  run.compared_bytes)
                    : fmt::format("  WRONG: {} bytes differ; {}\n",
                                  run.wrong_bytes, run.first_wrong));
}

class NpuCommand : public Command {
 public:
  void Describe(CLI::App& app) override {
    app.description(
        "The AMD NPU (Phoenix, Hawk Point) and its simulator.\n"
        "  kernels            list the kernels\n"
        "  designs            list the designs\n"
        "  design NAME        print a design as MLIR (--generic: for "
        "mlir-opt)\n"
        "  plan NAME          print its memory maps, use of the array, stream\n"
        "  simulate NAME      run it on the simulated array: cycles, per tile\n"
        "  run KERNEL         run one kernel, compared, with times\n"
        "  bench              the same for every kernel\n"
        "  validate           the simulator against published measurements\n"
        "  launch             what the host's launches cost an encoder\n"
        "  tiles              how many tiles attention has, and their sizes\n"
        "  build NAME         compile it for a real NPU (Peano, aiecc)\n"
        "  build encoder      what --device npu loads, for every model\n"
        "  tools              what of the NPU's tools this machine has\n"
        "  calibrate FILE...  find a model's int8 scales from speech\n"
        "`sotto doctor --npu` examines a real NPU.");
    app.add_option("action", action_, "what to do")->required();
    app.add_option("names", names_, "kernel, design or files");
    app.add_option("--device", device_, "sim, or npu: the real one")
        ->capture_default_str();
    app.add_option("--xclbin", xclbin_,
                   "the kernel's package, for --device npu")
        ->type_name("FILE");
    app.add_option("--ints", ints_,
                   "the kernel's integer arguments; usual ones if left out")
        ->delimiter(',');
    app.add_option("--elements", elements_,
                   "sizes of its buffers; as large as its integers want")
        ->delimiter(',');
    app.add_option("--warm-up", warm_up_, "runs before those that count")
        ->capture_default_str();
    app.add_option("--iterations", iterations_, "runs that count")
        ->capture_default_str();
    app.add_option("--seed", seed_, "of the random data")
        ->capture_default_str();
    app.add_option("--clock", clock_, "GHz of the simulated array")
        ->capture_default_str();
    app.add_option(
           "--svg", svg_,
           "write the simulated run as two pictures: times, and FILE-map")
        ->type_name("FILE");
    app.add_option("--out", out_,
                   "folder of packages for build, file for calibrate");
    app.add_option("--generic", generic_, "MLIR in generic form");
    app.add_option("--json", json_, "print JSON");
    app.add_option("--model", model_, "model to calibrate")
        ->capture_default_str();
    app.add_option("--windows", windows_, "windows of 30 s to calibrate on")
        ->capture_default_str();
  }

  int Run() override {
    if (action_ == "kernels") return ListKernels(json_);
    if (action_ == "designs") return ListDesigns();
    if (action_ == "design") return PrintDesign();
    if (action_ == "plan") return PrintPlan();
    if (action_ == "simulate") return Simulate();
    if (action_ == "run") return RunOne(KernelNamed(Name()));
    if (action_ == "bench") return Bench();
    if (action_ == "build") return Build();
    if (action_ == "validate") {
      std::cout << npu::ValidationTable(npu::Validate(Sim().parameters));
      return kDone;
    }
    if (action_ == "launch") return Launch();
    if (action_ == "tiles") {
      std::cout << npu::TileReport({});
      return kDone;
    }
    if (action_ == "tools") {
      PrintTools(npu::ProbeEnvironment(), json_);
      return kDone;
    }
    if (action_ == "calibrate")
      return Calibrate(
          {.model = model_, .files = names_, .out = out_, .windows = windows_});
    static constexpr std::string_view kActions[] = {
        "kernels", "designs", "design",   "plan",  "simulate",
        "run",     "bench",   "validate", "tiles", "launch",
        "build",   "tools",   "calibrate"};
    Fail(ErrorCode::kBadInput, "sotto npu has no {}{}", action_,
         DidYouMean(action_, kActions));
  }

 private:
  const std::string& Name() const {
    if (names_.size() != 1)
      Fail(ErrorCode::kBadInput, "sotto npu {} takes one name{}", action_,
           action_ == "run" ? ", of `sotto npu kernels`"
                            : ", of `sotto npu designs`");
    return names_.front();
  }

  int PrintDesign() const {
    std::cout << npu::EmitMlir(
        npu::MakePlan(npu::MakeDesign(Name())),
        generic_ ? npu::MlirForm::kGeneric : npu::MlirForm::kCustom);
    return kDone;
  }

  int PrintPlan() const {
    const npu::Plan plan = npu::MakePlan(npu::MakeDesign(Name()));
    std::cout << npu::MemoryMap(plan) << '\n'
              << npu::UsageReport(plan) << '\n'
              << npu::ToString(plan.stream);
    return kDone;
  }

  npu::SimOptions Sim() const {
    npu::SimOptions options;
    if (!(clock_ > 0 && clock_ <= 4))
      Fail(ErrorCode::kBadInput, "--clock is {}, want GHz above 0, at most 4",
           clock_);
    options.parameters.clock_ghz = clock_;
    options.trace = !svg_.empty();
    return options;
  }

  int Simulate() const {
    SimulateDesign(
        {.name = Name(), .options = Sim(), .seed = seed_, .svg = svg_});
    return kDone;
  }

  // Base, both precisions; the picture shows bf16.
  int Launch() const {
    for (const auto precision :
         {npu::EncoderPrecision::kInt8, npu::EncoderPrecision::kBF16}) {
      const auto report = npu::TimeEncoder({}, precision, Sim());
      const auto series = npu::LaunchSensitivity(
          report.parameters.MillisecondsOf(report.cycles), {}, precision);
      const std::string title = fmt::format(
          "base encoder, npu-{} at {} GHz, ms by number and cost of launches, "
          "modelled",
          precision == npu::EncoderPrecision::kInt8 ? "int8" : "bf16", clock_);
      std::cout << title << '\n' << npu::LaunchTable(series) << '\n';
      if (!svg_.empty()) WriteFileAtomic(svg_, npu::LaunchSvg(series, title));
    }
    for (const npu::PublishedLaunch& launch : npu::PublishedLaunches())
      std::cout << fmt::format("{:<6} {} ({})\n", launch.ms, launch.what,
                               launch.source);
    return kDone;
  }

  npu::KernelRunOptions RunOptions() const {
    npu::KernelRunOptions options;
    options.design.ints = ints_;
    options.design.elements = elements_;
    options.warm_up = warm_up_;
    options.iterations = iterations_;
    options.seed = seed_;
    return options;
  }

  std::unique_ptr<npu::Device> OpenDevice() const {
    if (device_ == "sim") return std::make_unique<npu::SimDevice>(Sim());
    if (device_ != "npu")
      Fail(ErrorCode::kBadInput, "--device is {}, want sim or npu", device_);
    return npu::OpenThisNpu(*npu::ThisSystem());
  }

  int RunOne(const npu::KernelInfo& kernel) const {
    const auto device = OpenDevice();
    const auto run = npu::RunKernel(*device, kernel, RunOptions(), xclbin_);
    PrintRun(run, json_);
    return run.wrong_bytes == 0 ? kDone : kFailed;
  }

  int Bench() const {
    const auto device = OpenDevice();
    bool well = true;
    for (const npu::KernelInfo& kernel : npu::Kernels()) {
      const auto run = npu::RunKernel(*device, kernel, RunOptions(), xclbin_);
      PrintRun(run, json_);
      well = well && run.wrong_bytes == 0;
    }
    return well ? kDone : kFailed;
  }

  int Build() const {
    const std::filesystem::path root =
        out_.empty() ? npu::PackagesFolder() : std::filesystem::path(out_);
    if (Name() != "encoder") {
      BuildOne(npu::MakeDesign(Name()), root / Name());
      return kDone;
    }
    // One serves all models of a precision.
    for (const auto precision :
         {npu::EncoderPrecision::kBF16, npu::EncoderPrecision::kInt8})
      BuildOne(npu::PackageDesign(precision),
               root / npu::PackageName(precision));
    return kDone;
  }

  static void BuildOne(const npu::Design& design,
                       const std::filesystem::path& folder) {
    npu::BuildOptions options;
    options.folder = folder;
    options.progress = [&](int step, int steps, const std::string& what) {
      std::cerr << fmt::format("{} [{}/{}] {}\n", design.name, step, steps,
                               what);
    };
    const auto built =
        npu::BuildPackage(design, npu::ProbeEnvironment(), options);
    std::cout << built.manifest.string() << '\n';
  }

  std::string action_;
  std::vector<std::string> names_;
  std::string device_ = "sim";
  std::string xclbin_;
  std::vector<int32_t> ints_;
  std::vector<int64_t> elements_;
  int warm_up_ = 3;
  int iterations_ = 10;
  uint64_t seed_ = 42;
  double clock_ = 1.0;
  std::string svg_;
  std::string out_;
  bool generic_ = false;
  bool json_ = false;
  std::string model_ = "tiny.en";
  int windows_ = 40;
};

}  // namespace

std::unique_ptr<Command> MakeNpu() { return std::make_unique<NpuCommand>(); }

}  // namespace sotto::cli
