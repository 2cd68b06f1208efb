// SPDX-License-Identifier: MIT
#include "npu/sim/validate.h"

#include <fmt/format.h>

#include <algorithm>

#include "npu/design/designs.h"
#include "npu/design/planner.h"
#include "npu/design/single.h"
#include "npu/sim/array.h"
#include "npu/sim/cost.h"
#include "npu/sim/published.h"
#include "npu/sim/validate_arrays.h"

namespace sotto::npu {
namespace {

using Group = ValidationRow::Group;
using Rows = std::vector<ValidationRow>;

void AddKernels(const SimParameters& p, Rows* rows) {
  for (const PublishedKernel& kernel : PublishedKernels()) {
    ValidationRow row{.group = Group::kKernel,
                      .what = fmt::format("{} {}", kernel.name, kernel.size),
                      .unit = "cycles",
                      .published = kernel.cycles,
                      .source = std::string(kernel.source)};
    if (kernel.loops.empty()) {
      row.note = "missing: its loops are not counted";
    } else {
      // The published cycles are between two events inside the function: no
      // call, no return.
      double cycles = 0;
      for (const LoopCost& loop : kernel.loops) {
        cycles += CyclesOf(loop, p.core).total;
      }
      row.predicted = cycles;
    }
    rows->push_back(std::move(row));
  }
  // Of the innermost loops: what ignite counts in the listing.
  const auto bundles = [&](const char* what, double published,
                           const LoopCost& loop) {
    rows->push_back({.group = Group::kKernel,
                     .what = what,
                     .unit = "bundles",
                     .published = published,
                     .predicted = CyclesOf(loop, p.core).per_trip,
                     .source = "ignite"});
  };
  bundles("inner loop of upstream int8 product, 8 VMAC", 9,
          {.vmac_int8 = 8, .loads = 8, .accumulators = 8});
  bundles("inner loop of upstream bf16 product, 16 VMAC", 32,
          {.vmac_bf16 = 16, .loads = 16, .accumulators = 16});
  const auto missing = [&](const char* what, const char* unit, double published,
                           const char* source, const char* why) {
    rows->push_back({.group = Group::kKernel,
                     .what = what,
                     .unit = unit,
                     .published = published,
                     .source = source,
                     .note = std::string("missing: ") + why});
  };
  missing("bank conflicts in one loop", "cycles", 48.5, "ignite",
          "two accesses of one bundle to a bank are not modelled");
}

// N words through one shim channel, from the start of a cold task.
void AddShim(const SimParameters& p, Rows* rows) {
  struct Published {
    int words;
    int mm2s;
    int s2mm;
  };
  constexpr Published kRows[] = {{1024, 1247, 1187},
                                 {2048, 3421, 2217},
                                 {4096, 5304, 4261},
                                 {8192, 9121, 8357},
                                 {16384, 17963, 16525}};
  for (const Published& row : kRows) {
    const double move = row.words / p.shim_words_per_cycle;
    const auto add = [&](const char* name, int start, int published) {
      rows->push_back(
          {.group = Group::kTransfer,
           .what = fmt::format("shim {} of {} words", name, row.words),
           .unit = "cycles",
           .published = static_cast<double>(published),
           .predicted = start + move,
           .source = "xdna-emu",
           .note = "start-up cost from the same source",
           .training = true});
    };
    add("MM2S", p.shim_start_mm2s, row.mm2s);
    add("S2MM", p.shim_start_s2mm, row.s2mm);
  }
  rows->push_back({.group = Group::kTransfer,
                   .what = "mem tile to core, long stream",
                   .unit = "bytes/cycle",
                   .published = 3.99976,
                   .predicted = StreamRate(p),
                   .source = "ignite"});
  const SimParameters fast = AtDesktopClock(p);
  rows->push_back({.group = Group::kTransfer,
                   .what = "memcpy 64 MiB, 4 channels",
                   .unit = "us",
                   .published = 2388.5,
                   .predicted = MemcpyMicroseconds(fast, 64 << 20),
                   .source = "mlir-aie bench",
                   .note = "at 1.8 GHz and its DDR cap; the clock of the "
                           "machine is not published"});
}

void AddDispatch(const SimParameters& p, Rows* rows) {
  const auto add = [&](std::string what, double published, double predicted,
                       const char* source, bool training,
                       std::string note = "") {
    rows->push_back({.group = Group::kDispatch,
                     .what = std::move(what),
                     .unit = "us",
                     .published = published,
                     .predicted = predicted,
                     .source = source,
                     .note = std::move(note),
                     .training = training});
  };
  constexpr std::pair<int, double> kLists[] = {
      {1, 55.7}, {2, 42.6}, {4, 36.1}, {8, 32.8}, {16, 31.2}};
  for (const auto& [runs, published] : kLists) {
    add(fmt::format("empty run, {} in a list", runs), published,
        p.ListedLaunchMicroseconds(runs), "driver PR 135",
        runs == 1 || runs == 16);
  }
  add("empty run, 64 in a list", 36.5, p.ListedLaunchMicroseconds(64),
      "third-party notes", false);
  add("start and wait of one empty kernel", 45, p.ListedLaunchMicroseconds(1),
      "XRT 9018", false);
  add("smallest real kernel", 60, p.ListedLaunchMicroseconds(1),
      "mlir-aie 2381", false);
  add("empty kernel, published Whisper attempt", 112.5, 1000 * p.launch_ms,
      "Amanuensis", true, "0.103 and 0.122 ms: the default launch cost");
  rows->push_back({.group = Group::kDispatch,
                   .what = "full reconfiguration",
                   .unit = "us",
                   .published = 3400,
                   .source = "arXiv 2512.13282",
                   .note = "missing: the firmware is not modelled"});
  add("floor of a call, nightly CI", 150, 1000 * p.launch_ms,
      "mlir-aie nightly", false, "Python host");
}

// Whole calls of 16 and 256 invocations in one dispatch: the slope.
void AddInvocations(const SimParameters& p, Rows* rows) {
  struct Published {
    const char* what;
    const char* kernel;
    const char* size;
    std::vector<int64_t> in;
    int64_t out;
    double from;
    double to;
  };
  const Published kRows[] = {
      {"passthrough 2048 x i32",
       "passthrough",
       "2048 x i32",
       {8192},
       8192,
       182,
       767},
      {"mm bf16 to f32 64x32x64",
       "mm bf16 to f32",
       "64x32x64",
       {4096, 4096},
       16384,
       211,
       1198},
      {"softmax 1024", "softmax", "1024", {2048}, 2048, 172, 879},
      {"SiLU 1024", "SiLU", "1024", {2048}, 2048, 171, 578},
      {"exp2f vector 1024",
       "exp2f vector (fp32)",
       "1024",
       {4096},
       4096,
       340,
       3286},
  };
  const std::vector<PublishedKernel> kernels = PublishedKernels();
  for (const Published& r : kRows) {
    ValidationRow row{.group = Group::kTransfer,
                      .what = fmt::format("{}, one more invocation", r.what),
                      .unit = "us",
                      .published = (r.to - r.from) / 240,
                      .source = "mlir-aie nightly"};
    const auto kernel = std::find_if(
        kernels.begin(), kernels.end(), [&](const PublishedKernel& k) {
          return k.name == r.kernel && k.size == r.size;
        });
    if (kernel == kernels.end() || kernel->loops.empty()) {
      row.note = "missing: its loops are not counted";
    } else {
      row.predicted = InvocationMicroseconds(kernel->loops, r.in, r.out, p);
    }
    rows->push_back(std::move(row));
  }
}

void AddCompat(const SimParameters& p, Rows* rows) {
  struct Published {
    const char* what;
    std::vector<const char*> kernels;
    std::vector<int64_t> in;
    int64_t out;
    std::vector<int64_t> ints;
    double ms;
  };
  const Published kRows[] = {
      {"attention 64x64 int8, v0",
       {"attention_64x64_v0"},
       {12288},
       4096,
       {4},
       2.19},
      {"attention 64x64 int8, v3",
       {"attention_64x64_v3"},
       {12288},
       4096,
       {4},
       2.081},
      {"GELU int8 512", {"gelu_i8_512"}, {512}, 512, {}, 0.126},
      {"GELU int8 2048", {"gelu_i8_2048"}, {2048}, 2048, {}, 0.151},
      {"LayerNorm int8 256", {"layer_norm_i8_256"}, {768}, 256, {}, 0.166},
      {"matmul int8 16x16", {"matmul_i8_16_compat"}, {512}, 256, {}, 0.484},
      {"softmax bf16 1024", {"softmax_bf16_1024"}, {2048}, 2048, {}, 1.541},
      {"LayerNorm bf16 1024",
       {"layer_norm_bf16_1024"},
       {2048},
       2048,
       {},
       0.866},
      {"LayerNorm bf16 512",
       {"layer_norm_bf16_512_nosqrt"},
       {1024},
       1024,
       {},
       0.618},
      {"GELU bf16 1024", {"gelu_bf16_1024"}, {2048}, 2048, {}, 1.68},
      {"matmul bf16 64x64, scalar",
       {"matmul_bf16_64x64_scalar"},
       {8192, 8192},
       8192,
       {},
       49},
      {"matmul bf16 64x64, vector",
       {"matmul_bf16_64x64_vector"},
       {8192, 8192},
       8192,
       {},
       0.208},
      {"chain LayerNorm, softmax, GELU, 1024",
       {"layer_norm_bf16_1024", "softmax_bf16_1024", "gelu_bf16_1024"},
       {2048},
       2048,
       {},
       3.5},
  };
  for (const Published& r : kRows) {
    ValidationRow row{.group = Group::kCompat,
                      .what = r.what,
                      .unit = "ms",
                      .published = r.ms,
                      .source = "Amanuensis"};
    const char* missing = nullptr;
    for (const char* kernel : r.kernels) {
      if (FindKernel(kernel) == nullptr) missing = kernel;
    }
    if (missing != nullptr) {
      row.note = fmt::format("missing: no kernel {}", missing);
    } else if (r.kernels.size() == 1) {
      row.predicted =
          ModelledMilliseconds(MakeSingleTile(r.what, {.kernel = r.kernels[0],
                                                       .in_bytes = r.in,
                                                       .out_bytes = r.out,
                                                       .constants = r.ints}),
                               p);
    } else {
      std::vector<ChainLink> links;
      for (const char* kernel : r.kernels) links.push_back({kernel, {}});
      row.predicted =
          ModelledMilliseconds(MakeChain(r.what, links, r.in[0], 1, false), p);
    }
    rows->push_back(std::move(row));
  }
}

std::string NameOf(const PublishedGemm& gemm) {
  const std::string out = gemm.bf16 ? (gemm.out_bits == 16 ? "bf16" : "f32")
                                    : fmt::format("int{}", gemm.out_bits);
  return fmt::format("GEMM {} to {}, {}x{}x{}, tile {}x{}x{}",
                     gemm.bf16 ? "bf16" : "int8", out, gemm.pm, gemm.pk,
                     gemm.pn, gemm.m, gemm.k, gemm.n);
}

void AddGemms(const SimParameters& p, Rows* rows) {
  for (const PublishedGemm& gemm : PublishedGemms()) {
    const GemmRun run = RunGemm(gemm, p);
    rows->push_back(
        {.group = Group::kGemm,
         .what = NameOf(gemm),
         .unit = "TOPS",
         .published = gemm.tops,
         .predicted = run.tops,
         .source = "arXiv 2512.13282",
         .note = fmt::format("one core {:.1f} of {:.1f} MAC/cycle published",
                             run.core_macs, gemm.mac_per_cycle)});
  }
  for (const PublishedGemm& gemm : OpenGemms()) {
    const double launch_ms = p.ListedLaunchMicroseconds(1) / 1000;
    const GemmRun run = RunGemm(gemm, p);
    rows->push_back({.group = Group::kOpenGemm,
                     .what = NameOf(gemm),
                     .unit = "TOPS",
                     .published = gemm.tops,
                     .predicted = run.tops * run.ms / (run.ms + launch_ms),
                     .source = "whisper-xdna",
                     .note = "with one launch"});
  }
}

void AddEncoders(const SimParameters& p, Rows* rows) {
  for (const PublishedEncoder& encoder : PublishedEncoders()) {
    const EncoderTime time = PredictEncoder(encoder, p);
    rows->push_back(
        {.group = Group::kEncoder,
         .what = fmt::format("Whisper {} encoder", encoder.name),
         .unit = "ms",
         .published = encoder.ms,
         .predicted = time.ms(),
         .source = "whisper-xdna",
         .note = fmt::format("array {:.0f}, overlay switches {:.0f}, host "
                             "{:.0f} (its own figure)",
                             time.array_ms, time.switch_ms, time.host_ms)});
  }
}

}  // namespace

std::vector<ValidationRow> Validate(const SimParameters& parameters,
                                    bool arrays) {
  Rows rows;
  AddKernels(parameters, &rows);
  AddShim(parameters, &rows);
  AddInvocations(parameters, &rows);
  AddDispatch(parameters, &rows);
  AddCompat(parameters, &rows);
  if (arrays) {
    AddGemms(parameters, &rows);
    AddEncoders(parameters, &rows);
  }
  return rows;
}

}  // namespace sotto::npu
