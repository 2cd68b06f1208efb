// SPDX-License-Identifier: MIT
#include "npu/sim/published.h"

#include <utility>

namespace sotto::npu {
namespace {

constexpr double kLoadLatency = 7;
constexpr double kMacLatency[2] = {5, 6};  // int8, bf16

// One pass over bf16 vectors of 16 lanes, software-pipelined.
LoopCost Pass(double trips, double loads, double stores, double vector_ops,
              double multiplies = 0, double lookups = 0) {
  return {.trips = trips,
          .vmul_bf16 = multiplies,
          .vector_ops = vector_ops,
          .loads = loads,
          .stores = stores,
          .lookups = lookups};
}

// Additions of bf16 go through the accumulator: two conversions up, the
// addition, one down. Products need one conversion down.
constexpr double kAddOps = 4;
constexpr double kMulDown = 1;
// A table's linear approximation: to fixed point, shift, bias, two clamps, the
// product with the slope added to the offset, down again.
constexpr double kTableOps = 6;
constexpr double kTableMuls = 1;

MatrixLoops Mm(int64_t m, int64_t k, int64_t n, bool bf16) {
  // The upstream kernel accumulates 4 x 4 register tiles of 4x8 by 8x4 in bf16
  // and 4 x 2 of 4x8 by 8x8 in int8.
  MatrixLoops mm{.m = m, .k = k, .n = n, .bf16 = bf16};
  if (bf16) {
    mm.in_bits = 16;
    mm.t = 4;
    mm.cols = 4;
  }
  return mm;
}

}  // namespace

std::vector<LoopCost> LoopsOf(const MatrixLoops& mm) {
  const auto size = [](int64_t a, int64_t b, int64_t bits) {
    return static_cast<double>(a * b * bits) / 256;
  };
  const double tiles = mm.rows * mm.cols;
  const double blocks = static_cast<double>(mm.m / (mm.r * mm.rows)) *
                        static_cast<double>(mm.n) / (mm.t * mm.cols);
  LoopCost steps{.trips = blocks * static_cast<double>(mm.k) / mm.s,
                 .loads = mm.rows * size(mm.r, mm.s, mm.in_bits) +
                          mm.cols * size(mm.s, mm.t, mm.in_bits),
                 .accumulators = mm.rows * mm.cols,
                 .what = "products"};
  (mm.bf16 ? steps.vmac_bf16 : steps.vmac_int8) = tiles;
  // Between blocks the pipeline drains and fills; sums come in and go out.
  LoopCost block{
      .trips = blocks,
      .vector_ops = mm.out_bits < 32 ? tiles : 0,
      .loads = mm.adds_to_c ? tiles * size(mm.r, mm.t, mm.out_bits) : 0,
      .stores = tiles * size(mm.r, mm.t, mm.out_bits),
      .what = "sums in and out"};
  block.chain = block.loads / 2 + block.stores + kLoadLatency +
                kMacLatency[mm.bf16 ? 1 : 0] + 1;
  return {steps, block};
}

namespace {

// Products of 4x4 by 4x4 in the int8 column: same slot, same spacing.
MatrixLoops Int16() {
  MatrixLoops mm = Mm(64, 32, 64, false);
  mm.in_bits = 16;
  mm.s = 4;
  mm.t = 4;
  mm.rows = 2;
  return mm;
}

std::vector<PublishedKernel> NightlyKernels() {
  constexpr std::string_view kNightly = "mlir-aie nightly, npu1";
  return {
      {"passthrough", "4096 x u8", 136, 136, kNightly, {Pass(64, 2, 2, 0)}},
      {"passthrough", "2048 x i32", 264, 264, kNightly, {Pass(128, 2, 2, 0)}},
      {"exp (bf16)", "1024", 1057, 1088, kNightly, {Pass(64, 1, 1, 3, 1, 2)}},
      {"tanh (bf16)",
       "1024",
       774,
       801,
       kNightly,
       {Pass(64, 1, 1, kTableOps, kTableMuls, 1)}},
      {"sigmoid",
       "1024",
       1339,
       1376,
       kNightly,
       {Pass(64, 1, 1, kTableOps + kAddOps + 2 * kMulDown, kTableMuls + 2, 1)}},
      {"softmax",
       "1024",
       1845,
       1870,
       kNightly,
       {Pass(64, 1, 1, 3 + kAddOps, 1, 2), Pass(64, 1, 1, kMulDown, 1)}},
      {"GELU (tanh form)",
       "1024",
       1785,
       1795,
       kNightly,
       {Pass(64, 1, 1, kTableOps + 2 * kAddOps + 6 * kMulDown, kTableMuls + 6,
             1)}},
      {"SiLU",
       "1024",
       1637,
       1659,
       kNightly,
       {Pass(64, 1, 1, kTableOps + kAddOps + 3 * kMulDown, kTableMuls + 3, 1)}},
      {"leaky ReLU",
       "1024",
       188,
       188,
       kNightly,
       {Pass(64, 1, 1, 1 + kMulDown, 1)}},
      {"exp2f vector (fp32)", "1024", 11981, 12009, kNightly, {}},
      {"axpy", "256-class", 87, 94, kNightly, {}},
      {"f32 to bf16 copy", "1024", 144, 144, kNightly, {Pass(64, 2, 1, 2)}},
      {"expand (int4/8 to bf16)", "576", 161, 161, kNightly, {}},
      {"transpose bf16 4x / 8x", "1024", 141, 144, kNightly, {}},
      {"transpose u8", "1024", 63, 63, kNightly, {}},
      {"transpose u32", "1024", 239, 239, kNightly, {}},
      {"mm bf16 to f32", "64x32x64", 1881, 1961, kNightly,
       LoopsOf(Mm(64, 32, 64, true))},
      {"mm bf16 to f32, B col-major", "64x64x64", 2969, 3081, kNightly,
       LoopsOf(Mm(64, 64, 64, true))},
      {"mm int16 to int32", "64x32x64", 3219, 3281, kNightly, LoopsOf(Int16())},
      {"mm int8 to int32", "64x32x64", 1449, 1481, kNightly,
       LoopsOf(Mm(64, 32, 64, false))},
      {"fused mm bf16", "32x32x16", 691, 691, kNightly, {}},
      {"zero init f32", "64x64", 518, 518, kNightly, {Pass(512, 0, 1, 0)}},
      {"mv int16", "32x32", 95, 95, kNightly, {}},
      {"mv bf16", "32x256", 1264, 1264, kNightly, {}},
      {"mv", "4x64", 117, 117, kNightly, {}},
      {"mv", "4x2048", 694, 694, kNightly, {}},
      {"mv", "8192 total", 1755, 1755, kNightly, {}},
      {"max reduction", "small", 11, 14, kNightly, {}}};
}

std::vector<PublishedKernel> BenchKernels() {
  constexpr std::string_view kIgnite = "ignite L1 bench";
  constexpr std::string_view kGuide = "mlir-aie guide 4c";
  return {{"mm bf16, upstream", "32x32x32", 879, 879, kIgnite,
           LoopsOf(Mm(32, 32, 32, true))},
          {"mm bf16, upstream", "32x64x32", 1418.5, 1418.5, kIgnite,
           LoopsOf(Mm(32, 64, 32, true))},
          {"mm bf16, upstream", "32x128x32", 2482.4, 2482.4, kIgnite,
           LoopsOf(Mm(32, 128, 32, true))},
          {"mm bf16, upstream", "64x64x64", 5407, 5407, kIgnite,
           LoopsOf(Mm(64, 64, 64, true))},
          {"mm int8, upstream", "32x32x32", 514, 514, kIgnite,
           LoopsOf(Mm(32, 32, 32, false))},
          {"mm int8, upstream", "32x64x32", 697.1, 697.1, kIgnite,
           LoopsOf(Mm(32, 64, 32, false))},
          {"mm int8, upstream", "32x128x32", 1009.4, 1009.4, kIgnite,
           LoopsOf(Mm(32, 128, 32, false))},
          {"mm int8, upstream", "64x64x64", 2584, 2584, kIgnite,
           LoopsOf(Mm(64, 64, 64, false))},
          // Sums stay in registers over all of K; four blocks in one schedule,
          // so the pipeline fills once.
          {"mm bf16, hand-written",
           "32x32x32",
           282,
           288,
           "tnzr, ignite",
           {{.trips = 16, .vmac_bf16 = 16, .loads = 16, .accumulators = 16}}},
          {"vector-scalar mul int16, scalar",
           "1024",
           10250,
           10250,
           kGuide,
           {{.trips = 1024,
             .scalar_muls = 1,
             .scalar_loads = 1,
             .scalar_stores = 1,
             .chain = kLoadLatency + 2 + 1}}},
          {"vector-scalar mul int16, vector",
           "1024",
           495,
           495,
           kGuide,
           {{.trips = 32,
             .vector_ops = 2,
             .loads = 2,
             .stores = 2,
             .chain = kLoadLatency + 5 + 1 + 2}}},
          {"vector-scalar mul int16, pipelined",
           "1024",
           72,
           72,
           kGuide,
           {{.trips = 32, .vector_ops = 2, .loads = 2, .stores = 2}}},
          // The guide's ideal of 2048 cycles is 131072 products at 64 a cycle.
          {"mm int16, as 64x32x64", "\"64x64x64\"", 2535, 2535, kGuide,
           LoopsOf(Int16())}};
}

std::vector<PublishedKernel> PaperKernels() {
  constexpr std::string_view kPaper = "arXiv 2512.13282";
  const auto single = [](int64_t m, int64_t k, int64_t n, bool bf16, int bits) {
    MatrixLoops mm = Mm(m, k, n, bf16);
    mm.out_bits = bits;
    mm.adds_to_c = false;
    return LoopsOf(mm);
  };
  const auto cycles = [](double m, double k, double n, double macs) {
    return m * k * n / macs;
  };
  return {
      {"mm int8 to int8, one core", "64x232x64", cycles(64, 232, 64, 233.0),
       cycles(64, 232, 64, 233.0), kPaper, single(64, 232, 64, false, 8)},
      {"mm int8 to int16, one core", "64x216x64", cycles(64, 216, 64, 217.6),
       cycles(64, 216, 64, 217.6), kPaper, single(64, 216, 64, false, 16)},
      {"mm int8 to int32, one core", "48x280x48", cycles(48, 280, 48, 192.0),
       cycles(48, 280, 48, 192.0), kPaper, single(48, 280, 48, false, 32)},
      {"mm bf16, one core", "64x104x64", cycles(64, 104, 64, 112.6),
       cycles(64, 104, 64, 112.6), kPaper, single(64, 104, 64, true, 16)}};
}

}  // namespace

std::vector<PublishedKernel> PublishedKernels() {
  std::vector<PublishedKernel> all;
  for (auto* part : {NightlyKernels, BenchKernels, PaperKernels}) {
    for (PublishedKernel& kernel : part()) all.push_back(std::move(kernel));
  }
  return all;
}

std::span<const PublishedGemm> PublishedGemms() {
  static constexpr PublishedGemm kGemms[] = {
      {false, 8, 112, 112, 112, 4032, 4032, 4032, 212.5, 6.52},
      {false, 8, 112, 104, 128, 4032, 4160, 4096, 207.4, 6.48},
      {false, 16, 96, 112, 96, 4224, 4032, 4224, 192.0, 5.85},
      {false, 32, 80, 88, 96, 4160, 4224, 4224, 146.0, 4.42},
      {true, 16, 96, 56, 96, 4224, 4032, 4224, 99.8, 3.12},
  };
  return kGemms;
}

std::span<const PublishedGemm> OpenGemms() {
  static constexpr PublishedGemm kGemms[] = {
      {true, 32, 64, 64, 32, 1536, 1536, 384, 0, 1.761},
      {true, 32, 64, 64, 32, 1536, 5120, 1280, 0, 1.514},
      {true, 32, 64, 64, 32, 1536, 1280, 1280, 0, 1.409},
      {true, 16, 32, 64, 64, 1536, 64, 1536, 0, 0.386},
  };
  return kGemms;
}

std::span<const PublishedEncoder> PublishedEncoders() {
  static constexpr PublishedEncoder kEncoders[] = {
      {"tiny", 4, 384, 6, 80, 484},
      {"small", 12, 768, 12, 80, 1507},
      {"large-v3-turbo", 32, 1280, 20, 128, 3346},
  };
  return kEncoders;
}

MatrixLoops LoopsFor(const PublishedGemm& gemm) {
  MatrixLoops mm = Mm(gemm.m, gemm.k, gemm.n, gemm.bf16);
  mm.out_bits = gemm.out_bits;
  return mm;
}

}  // namespace sotto::npu
