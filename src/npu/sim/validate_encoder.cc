// SPDX-License-Identifier: MIT
// The one Whisper encoder published for this chip (drakosha/whisper-xdna),
// launch by launch, written down as data: one overlay per GEMM shape, one
// launch per head, scores through DDR, the rest of the layer on the host.
#include <algorithm>
#include <map>
#include <tuple>
#include <vector>

#include "npu/sim/cost.h"
#include "npu/sim/validate_arrays.h"

namespace sotto::npu {
namespace {

// What its measurements say of the host and the driver.
constexpr double kSwitchMs = 2.81 / 2;  // another overlay: half a pair
// Host work of large-v3: 0.25 of a core over 3344 ms. It touches activations,
// so it goes with layers times width.
constexpr double kHostMs = 0.25 * 3344;
constexpr double kHostWork = 32.0 * 1280;

struct Launch {
  enum class Kind : uint8_t { kGemm, kRows };
  Kind kind = Kind::kGemm;
  PublishedGemm gemm{};
  int count = 1;
  bool listed = false;  // in a runlist
  // kRows: elements, bytes read and written of each, cycles per 16 lanes.
  double elements = 0;
  double read_bytes = 0;
  double written_bytes = 0;
  double cycles_per_16 = 0;
};

int64_t PadTo(int64_t value, int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

// Its choice of tiles, and padding to them.
Launch Gemm(int64_t m, int64_t k, int64_t n, int out_bits, int count = 1) {
  PublishedGemm g{.bf16 = true, .out_bits = out_bits};
  g.m = k <= 64 ? 32 : 64;
  g.k = 64;
  g.n = k <= 64 ? 64 : n <= 64 ? 16 : 32;
  g.pm = PadTo(m, g.m * 4 * 2);
  g.pk = PadTo(k, g.k);
  g.pn = PadTo(n, g.n * 4);
  return {.gemm = g, .count = count, .listed = count > 1};
}

std::vector<Launch> LayerOf(const PublishedEncoder& e) {
  constexpr int64_t kFrames = 1500;
  constexpr double kPadded = 1536;
  const auto heads = static_cast<int>(e.heads);
  const int64_t bias = e.d + 1;  // folded in as one more row of the weights
  // fc1 in chunks of the width where it is too wide to compile.
  const bool chunked = 4 * e.d > 4096;
  const auto d = static_cast<double>(e.d);
  return {
      Gemm(kFrames, bias, e.d, 32),
      Gemm(kFrames, bias, e.d, 32),
      Gemm(kFrames, bias, e.d, 32),
      Gemm(kFrames, 64, kFrames, 16, heads),
      // Row softmax: the published kernel's loops, 1.2 cycles an element.
      {.kind = Launch::Kind::kRows,
       .elements = static_cast<double>(heads) * kPadded * kPadded,
       .read_bytes = 2,
       .written_bytes = 2,
       .cycles_per_16 = 19},
      Gemm(kFrames, 1536, 64, 32, heads),
      Gemm(kFrames, bias, e.d, 32),
      chunked ? Gemm(kFrames, bias, e.d, 32, 4)
              : Gemm(kFrames, bias, 4 * e.d, 32),
      // Piecewise polynomial of degree 4 in three pieces: 12 steps of multiply
      // and add, each rounded down to bf16.
      {.kind = Launch::Kind::kRows,
       .elements = kPadded * 4 * d,
       .read_bytes = 4,
       .written_bytes = 2,
       .cycles_per_16 = 36},
      Gemm(kFrames, 4 * e.d, e.d, 32),
  };
}

class Timer {
 public:
  explicit Timer(const SimParameters& p) : p_(p) {}

  double Ms(const Launch& launch) {
    const int runs = launch.listed ? launch.count : 1;
    return launch.count *
           (Work(launch) + p_.ListedLaunchMicroseconds(runs) / 1000);
  }

 private:
  double Work(const Launch& l) {
    if (l.kind == Launch::Kind::kRows) {
      const double cores = 16;
      const double compute =
          l.elements / 16 * l.cycles_per_16 / cores / (p_.clock_ghz * 1e6);
      const double read = l.elements * l.read_bytes / (p_.ddr_read_gbps * 1e6);
      const double written =
          l.elements * l.written_bytes / (p_.ddr_write_gbps * 1e6);
      return std::max({compute, read, written});
    }
    const auto key =
        std::tuple(l.gemm.pm, l.gemm.pk, l.gemm.pn, l.gemm.out_bits);
    auto found = gemms_.find(key);
    if (found == gemms_.end()) {
      found = gemms_.emplace(key, RunGemm(l.gemm, p_).ms).first;
    }
    return found->second;
  }

  SimParameters p_;
  std::map<std::tuple<int64_t, int64_t, int64_t, int>, double> gemms_;
};

bool SameOverlay(const Launch& a, const Launch& b) {
  return a.kind == b.kind && a.kind == Launch::Kind::kGemm &&
         a.gemm.pm == b.gemm.pm && a.gemm.pk == b.gemm.pk &&
         a.gemm.pn == b.gemm.pn && a.gemm.out_bits == b.gemm.out_bits;
}

}  // namespace

EncoderTime PredictEncoder(const PublishedEncoder& e, const SimParameters& p) {
  Timer timer(p);
  EncoderTime time;
  // Two convolutions as matrix products.
  time.array_ms += timer.Ms(Gemm(3000, 3 * e.mels, e.d, 32)) +
                   timer.Ms(Gemm(1500, 3 * e.d, e.d, 32));
  int switches = 2;
  const std::vector<Launch> layer = LayerOf(e);
  for (size_t i = 0; i < layer.size(); ++i) {
    time.array_ms += e.layers * timer.Ms(layer[i]);
    const Launch& before = layer[(i + layer.size() - 1) % layer.size()];
    if (!SameOverlay(before, layer[i])) switches += e.layers;
  }
  time.switch_ms = switches * kSwitchMs;
  time.host_ms = kHostMs * e.layers * static_cast<double>(e.d) / kHostWork;
  return time;
}

}  // namespace sotto::npu
