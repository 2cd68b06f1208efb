// SPDX-License-Identifier: MIT
// Every row of kernels.def over the shapes of a base model, as a fraction of
// what this machine was measured to give: `of_peak` for kernels that the units
// bound (against products between registers, of f32 or of bf16), `of_read` for
// those that memory bounds (against reading as many bytes).
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "cpu/peak.h"
#include "cpu/problems.h"

namespace sotto::cpu {
namespace {

int g_threads = 0;  // --threads=N

struct Machine {
  CpuFeatures features = HostFeatures();
  ThreadPool pool{g_threads > 0 ? g_threads : UsableCores()};
  double fma = MeasureFmaPeak(pool, features);
  double bf16 = MeasureBf16Peak(pool, features);
  std::map<size_t, double> read;  // by bytes

  double Peak(Order order) const { return order == Order::kChain ? fma : bf16; }
  double ReadRate(size_t bytes) {
    const auto [at, fresh] = read.try_emplace(bytes, 0);
    if (fresh) at->second = MeasureReadRate(pool, features, bytes);
    return at->second;
  }
};

Machine& TheMachine() {
  static Machine machine;
  return machine;
}

using MakeFn = std::unique_ptr<Problem> (*)(DType);

struct Case {
  const char* name;
  MakeFn make;
  bool reads;  // bound by memory, not by the units
};

template <int64_t kM, int64_t kN, int64_t kK>
std::unique_ptr<Problem> Product(DType type) {
  return MakeProblem(
      LinearCase{.m = kM, .n = kN, .k = kK, .x = type, .w = type, .y = type});
}

template <ir::Op kOp, int64_t kM, int64_t kN>
std::unique_ptr<Problem> Rows(DType type) {
  const bool packs = kOp == ir::Op::kKvWrite;
  return MakeProblem(RowsCase{.op = kOp,
                              .m = kM,
                              .n = kN,
                              .x = type,
                              .w = packs ? type : DType::kF32,
                              .y = type});
}

std::unique_ptr<Problem> Window(DType type) {
  return MakeProblem(
      AttentionCase{.t = 1500, .heads = 8, .x = type, .y = type});
}

template <int64_t kTokens, int64_t kExtent, bool kCausal, int64_t kChunk = 0>
std::unique_ptr<Problem> Cached(DType type) {
  return MakeProblem(CachedCase{.tokens = kTokens,
                                .heads = 8,
                                .positions = kExtent,
                                .pos = {kExtent - kTokens},
                                .q = type,
                                .kv = type,
                                .y = type,
                                .causal = kCausal,
                                .extent = kExtent,
                                .q_chunk = kChunk});
}

template <int64_t kChunk>
std::unique_ptr<Problem> Window(DType type) {
  return MakeProblem(AttentionCase{
      .t = 1500, .heads = 8, .x = type, .y = type, .q_chunk = kChunk});
}

constexpr Case kCases[] = {
    {"encoder_qkv", Product<1500, 1536, 512>, false},
    {"encoder_fc1", Product<1500, 2048, 512>, false},
    {"encoder_fc2", Product<1500, 512, 2048>, false},
    {"batch16_fc1", Product<16, 2048, 512>, false},
    {"decode_fc1", Product<1, 2048, 512>, true},
    {"decode_fc2", Product<1, 512, 2048>, true},
    {"decode_logits", Product<1, 51865, 512>, true},
    {"decode4_logits", Product<4, 51865, 512>, true},
    {"batch16_logits", Product<16, 51865, 512>, true},
    {"encoder_attention", Window, false},
    {"decode_cross", Cached<1, 1500, false>, true},
    {"decode_self", Cached<1, 448, true>, true},
    {"prompt_self", Cached<224, 448, true>, false},
    {"prompt_cross", Cached<224, 1500, false>, false},
    {"prompt_cross_chunk_1", Cached<224, 1500, false, 1>, false},
    {"prompt_cross_chunk_8", Cached<224, 1500, false, 8>, false},
    {"prompt_cross_chunk_16", Cached<224, 1500, false, 16>, false},
    {"prompt_cross_chunk_64", Cached<224, 1500, false, 64>, false},
    {"prompt_cross_chunk_256", Cached<224, 1500, false, 256>, false},
    {"encoder_chunk_64", Window<64>, false},
    {"encoder_chunk_256", Window<256>, false},
    {"encoder_chunk_1500", Window<1500>, false},
    {"encoder_norm", Rows<ir::Op::kLayerNorm, 1500, 512>, true},
    {"encoder_gelu", Rows<ir::Op::kGelu, 1500, 2048>, true},
    {"encoder_add", Rows<ir::Op::kAdd, 1500, 512>, true},
    {"encoder_cast", Rows<ir::Op::kCast, 1500, 512>, true},
    {"mel_transpose", Rows<ir::Op::kTranspose, 3000, 80>, true},
    {"cross_kv_write", Rows<ir::Op::kKvWrite, 1, 64>, true},
};

// Of this thread's own time where it works alone, so that other processes do
// not count; of the clock on the wall otherwise.
double Now(int threads) {
  timespec time;
  clock_gettime(threads == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC,
                &time);
  return static_cast<double>(time.tv_sec) +
         1e-9 * static_cast<double>(time.tv_nsec);
}

// Figures are of the fastest call: on a machine that others use too, the mean
// measures them.
void Run(benchmark::State& state, const KernelRow& row, const Case& one,
         DType type) {
  Machine& machine = TheMachine();
  const std::unique_ptr<Problem> problem = one.make(type);
  double best = 1e9;
  for (auto _ : state) {
    const double start = Now(machine.pool.threads());
    problem->Run(row, machine.features, machine.pool);
    const double took = Now(machine.pool.threads()) - start;
    if (took > 0) best = std::min(best, took);  // the clock may stand still
  }
  state.counters["best_us"] = best * 1e6;
  state.counters["gflops"] = problem->flops / best * 1e-9;
  state.counters["gb_s"] = problem->bytes / best * 1e-9;
  const double bound =
      one.reads ? problem->bytes /
                      machine.ReadRate(static_cast<size_t>(problem->bytes))
                : problem->flops / machine.Peak(row.order);
  state.counters["of_bound"] = bound / best;
  state.SetLabel(one.reads ? "read" : "peak");
}

void Register() {
  // The reference takes seconds per call; it has no speed to measure.
  for (const Case& one : kCases)
    for (const DType type : {DType::kF32, DType::kBF16}) {
      const ir::Op op = one.make(type)->op;
      const KernelShape shape = one.make(type)->shape;
      for (const KernelRow& row : KernelRows()) {
        if (row.op != op || row.is_reference() ||
            !WhyNot(row, shape, TheMachine().features, false).empty())
          continue;
        const std::string name =
            fmt::format("{}/{}/{}", one.name, Name(type), row.name);
        benchmark::RegisterBenchmark(
            name.c_str(),
            [&row, &one, type](benchmark::State& state) {
              Run(state, row, one, type);
            })
            ->UseRealTime()
            ->Unit(benchmark::kMicrosecond);
      }
    }
}

}  // namespace
}  // namespace sotto::cpu

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (argc == 2 && std::string_view(argv[1]).starts_with("--threads=")) {
    sotto::cpu::g_threads = std::atoi(argv[1] + 10);
    argc = 1;
  }
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  sotto::cpu::Register();
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
