// SPDX-License-Identifier: MIT
#include "cpu/peak.h"

#include <algorithm>
#include <chrono>
#include <cstring>

#include "cpu/kernel.h"
#include "cpu/select.h"
#include "cpu/simd/targets.h"
#if defined(__x86_64__)
#include "cpu/x86/x86.h"
#endif
#include "tensor/buffer.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/simd/peak.cc"
#include "hwy/foreach_target.h"
// After foreach_target.
#include "cpu/simd/vec-inl.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace sotto::cpu::HWY_NAMESPACE {

// 12 chains: more than latency times ports on any core so far. Returns the
// operations done.
double MultiplyAdd(int64_t rounds, float* out) {
  constexpr int64_t kChains = 12;
  const D d;
  const V x = hn::Set(d, 0.999f);
  const V y = hn::Set(d, 0.001f);
  V sums[kChains];
  HWY_UNROLL(16)
  for (int64_t i = 0; i < kChains; ++i)
    sums[i] = hn::Set(d, static_cast<float>(i));
  for (int64_t r = 0; r < rounds; ++r) {
    HWY_UNROLL(16)
    for (int64_t i = 0; i < kChains; ++i) sums[i] = hn::MulAdd(sums[i], x, y);
  }
  V total = sums[0];
  HWY_UNROLL(16)
  for (int64_t i = 1; i < kChains; ++i) total = hn::Add(total, sums[i]);
  Store(total, out);
  return static_cast<double>(rounds * kChains * kLanes) * 2;
}

// Reads `bytes` (a multiple of 512) once.
void ReadThrough(const float* from, int64_t bytes, float* out) {
  constexpr int64_t kStreams = 8;
  const D d;
  V sums[kStreams];
  HWY_UNROLL(8)
  for (int64_t i = 0; i < kStreams; ++i) sums[i] = hn::Zero(d);
  const int64_t count = bytes / static_cast<int64_t>(sizeof(float));
  for (int64_t at = 0; at < count; at += kStreams * kLanes) {
    HWY_UNROLL(8)
    for (int64_t i = 0; i < kStreams; ++i)
      sums[i] = hn::Or(sums[i], Load(from + at + i * kLanes));
  }
  V total = sums[0];
  HWY_UNROLL(8)
  for (int64_t i = 1; i < kStreams; ++i) total = hn::Or(total, sums[i]);
  Store(total, out);
}

}  // namespace sotto::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include "cpu/simd/dispatch.h"

namespace sotto::cpu {

HWY_EXPORT(MultiplyAdd);
HWY_EXPORT(ReadThrough);

namespace {

constexpr int kTries = 8;

double Now() {
  return std::chrono::duration<double>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

// The shortest of some tries of f(thread) on every thread at once.
template <typename F>
double ShortestTry(ThreadPool& pool, const F& f) {
  double best = 1e9;
  for (int i = 0; i < kTries; ++i) {
    const double start = Now();
    pool.ParallelFor(pool.threads(), [&](int64_t task, int) { f(task); });
    best = std::min(best, Now() - start);
  }
  return best;
}

// Each thread writes its result to a line of its own, so that the work has
// one.
constexpr int64_t kLine = 16;

// Operations a second of run(rounds, out), which returns how many it did.
double Peak(ThreadPool& pool, double (*run)(int64_t, float*), int64_t rounds) {
  const Buffer out(static_cast<size_t>(pool.threads() * kLine) * sizeof(float));
  double operations = 0;
  const double seconds = ShortestTry(pool, [&](int64_t task) {
    const double done = run(rounds, out.As<float>() + task * kLine);
    if (task == 0) operations = done;
  });
  return operations * pool.threads() / seconds;
}

}  // namespace

double MeasureFmaPeak(ThreadPool& pool, const CpuFeatures& features) {
  if (!Has(features, Needs::kVectors)) return 0;
  constexpr int64_t kRounds = 2'000'000;  // some 3 ms
  return Peak(pool, HWY_DISPATCH_TABLE(MultiplyAdd)[DispatchIndex(features)],
              kRounds);
}

double MeasureBf16Peak(ThreadPool& pool, const CpuFeatures& features) {
#if defined(__x86_64__)
  constexpr int64_t kTileRounds = 100'000;  // some 3 ms, each
  constexpr int64_t kPairRounds = 1'000'000;
  if (Has(features, Needs::kAmxBf16))
    return Peak(pool, &MultiplyTiles, kTileRounds);
  if (Has(features, Needs::kAvx512Bf16))
    return Peak(pool, &MultiplyPairs, kPairRounds);
#endif
  static_cast<void>(pool), static_cast<void>(features);
  return 0;
}

double MeasureReadRate(ThreadPool& pool, const CpuFeatures& features,
                       size_t bytes) {
  if (!Has(features, Needs::kVectors)) return 0;
  const auto run = HWY_DISPATCH_TABLE(ReadThrough)[DispatchIndex(features)];
  constexpr size_t kStep = 512;
  const size_t threads = static_cast<size_t>(pool.threads());
  const size_t part = std::max(bytes / threads / kStep, size_t{1}) * kStep;
  const Buffer data(part * threads);
  std::memset(data.data(), 1, data.size());
  const Buffer out(threads * kLine * sizeof(float));
  // Small buffers are read often enough to last a millisecond or so.
  const size_t rounds =
      std::max<size_t>(1, (size_t{64} << 20) / (part * threads));
  const double seconds = ShortestTry(pool, [&](int64_t task) {
    for (size_t i = 0; i < rounds; ++i)
      run(data.As<float>() + task * static_cast<int64_t>(part / sizeof(float)),
          static_cast<int64_t>(part), out.As<float>() + task * kLine);
  });
  return static_cast<double>(part * threads * rounds) / seconds;
}

double PeakTflops(const CpuFeatures& features, std::string_view precision,
                  ThreadPool& pool) {
  const double bf16 =
      precision == "bf16" ? MeasureBf16Peak(pool, features) : 0.0;
  return (bf16 > 0 ? bf16 : MeasureFmaPeak(pool, features)) * 1e-12;
}

double ReadGBs(size_t bytes, ThreadPool& pool) {
  return MeasureReadRate(pool, HostFeatures(), bytes) * 1e-9;
}

}  // namespace sotto::cpu
#endif  // HWY_ONCE
