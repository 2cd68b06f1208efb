// SPDX-License-Identifier: MIT
#include "npu/design/kernel_sizes.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>

#include "base/error.h"

namespace sotto::npu {
namespace {

using Ints = std::span<const int32_t>;
using Elements = std::vector<int64_t>;

// More than a tile's memory holds; products of two stay inside int64.
constexpr int32_t kMost = 1 << 17;

constexpr KernelInt Count(std::string_view name, int32_t usual,
                          int32_t multiple) {
  return {name, usual, multiple, kMost, multiple};
}
constexpr KernelInt Any(std::string_view name, int32_t usual) {
  return {name, usual};
}
constexpr KernelInt Bits(std::string_view name, float usual) {
  return {name, std::bit_cast<int32_t>(usual)};
}
constexpr KernelInt Shift(int32_t usual, int32_t least, int32_t most) {
  return {"shift", usual, least, most, 1};
}

int64_t Times(int32_t a, int32_t b) { return int64_t{a} * b; }
template <int kPointers>
Elements Each(Ints i) {
  return Elements(kPointers, i[0]);
}
Elements Area(Ints i) { return Elements(2, Times(i[0], i[1])); }
// Whole vectors of 16.
Elements Softmax(Ints i) { return Elements(2, (int64_t{i[0]} + 15) / 16 * 16); }
Elements Product(Ints i) {
  return {Times(i[0], i[1]), Times(i[1], i[2]), Times(i[0], i[2])};
}
Elements MatrixVector(Ints i) { return {Times(i[0], i[1]), i[1], i[0]}; }
// A FinishColumn of 96 bytes for eight channels.
Elements FinishInt8(Ints i) {
  const int64_t all = Times(i[0], i[1]);
  return {all, int64_t{i[1]} / 8 * 24, all, all};
}
Elements FinishBf16(Ints i) {
  const int64_t all = Times(i[0], i[1]);
  return {all, i[1], all, all};
}
int64_t State(int32_t rows, int32_t d) { return Times(rows, 12 + d); }
Elements ScoresBf16(Ints i) {
  return {Times(i[0], i[2]), Times(i[1], i[2]), Times(i[0], i[1]),
          State(i[0], i[2])};
}
Elements ScoresInt8(Ints i) {
  Elements of = ScoresBf16(i);
  of[0] = Times(i[0], std::max(i[2], i[6]));
  return of;
}
// Q of a tile.
Elements TileScoresInt8(Ints i) { return {Times(64, i[3])}; }
Elements Values(Ints i) {
  return {Times(i[0], i[1]), Times(i[1], i[2]), State(i[0], i[2])};
}
Elements FlashFinish(Ints i) { return {State(i[0], i[1]), Times(i[0], i[1])}; }
Elements LayerNorm(Ints i) {
  return {Times(i[0], i[1]), Times(2, i[1]), Times(i[0], i[1])};
}
Elements Statistics(Ints i) { return {Times(i[0], i[1]), Times(i[0], 16)}; }
Elements Apply(Ints i) {
  return {Times(i[0], i[1]), Times(i[0], 16), Times(2, i[1]),
          Times(i[0], i[1])};
}

// The longest list of ints, of flash_scores_i8.
constexpr size_t kMostInts = 7;

struct Row {
  std::string_view kernel;
  std::array<KernelInt, kMostInts> ints;  // up to the first without a name
  Elements (*elements)(Ints) = nullptr;   // null: no pointer is open
};

constexpr KernelInt kN = Count("n", 2048, 32);
constexpr KernelInt kBytes = Count("bytes", 2048, 64);
constexpr KernelInt kStep = Any("step", 0);
constexpr KernelInt kGemmM = Count("m", 64, 8), kGemmK = Count("k", 64, 8),
                    kGemmN = Count("n", 64, 32);
constexpr KernelInt kFinishM = Count("m", 64, 4), kFinishN = Count("n", 64, 8),
                    kMode{"mode", 0, 0, 15};
constexpr KernelInt kRows = Count("rows", 64, 16),
                    kKeys = Count("keys", 64, 16), kD = Count("d", 64, 16),
                    kBlock{"block", 0, 0, kMost}, kValid{"valid", 64, 1, kMost};
constexpr KernelInt kNormRows = Count("rows", 4, 4),
                    kWidth = Count("width", 512, 8);
constexpr KernelInt kShift = Shift(4, 0, 31);

constexpr Row kTable[] = {
    {"passthrough_u8", {kBytes}, Each<2>},
    {"keep_u8", {kBytes, kStep, Any("own", 0), Any("next", 0)}, Each<3>},
    {"zero_u8", {kBytes}, Each<1>},
    {"add_i8", {kN}, Each<3>},
    {"exp_bf16", {kN}, Each<2>},
    {"tanh_bf16", {kN}, Each<2>},
    {"sigmoid_bf16", {kN}, Each<2>},
    {"silu_bf16", {kN}, Each<2>},
    {"relu_bf16", {kN}, Each<2>},
    {"axpy_bf16", {kN, Bits("a's bits", 0.5F)}, Each<3>},
    {"narrow_f32_bf16", {kN}, Each<2>},
    {"transpose_bf16", {Count("rows", 64, 8), Count("columns", 64, 8)}, Area},
    {"gemm_i16",
     {Count("m", 64, 8), Count("k", 64, 4), Count("n", 64, 8), kStep},
     Product},
    {"mv_bf16", {Count("m", 64, 1), Count("k", 64, 16)}, MatrixVector},
    {"max_i32", {Count("n", 2048, 16)}, Each<1>},
    {"attention_16x16", {kShift}},
    {"attention_64x64_v0", {kShift}},
    {"attention_64x64_whole_v0", {kShift}},
    {"attention_64x64_v1", {kShift}},
    {"attention_64x64_whole_v1", {kShift}},
    {"attention_64x64_v2", {kShift}},
    {"attention_64x64_whole_v2", {kShift}},
    {"attention_64x64_v3", {kShift}},
    {"attention_64x64_whole_v3", {kShift}},
    {"attention_scores_64x64", {kShift}},
    {"attention_2heads_v0", {kShift}},
    {"gelu_i8", {Count("n", 2048, 1)}, Each<2>},
    {"gelu_bias_i8", {Count("n", 2048, 1)}, Each<3>},
    {"matmul_i8_i32",
     {Count("m", 64, 1), Count("k", 64, 1), Count("n", 64, 1)},
     Product},
    {"requantize_shift_i8", {Count("n", 2048, 1), Shift(7, 0, 31)}, Each<2>},
    {"gemm_i8", {kGemmM, kGemmK, kGemmN, kStep}, Product},
    {"gemm_i16_i8", {kGemmM, kGemmK, kGemmN, kStep}, Product},
    {"gemm_bf16", {kGemmM, kGemmK, kGemmN, kStep}, Product},
    {"gemm_tile_i8", {kStep}},
    {"gemm_tile_i16_i8", {kStep}},
    {"gemm_tile_bf16", {kStep}},
    {"finish_i8", {kFinishM, kFinishN, kMode}, FinishInt8},
    {"finish_bf16", {kFinishM, kFinishN, kMode}, FinishBf16},
    {"flash_scores_bf16", {kRows, kKeys, kD, kBlock, kValid}, ScoresBf16},
    {"flash_scores_i8",
     {kRows, kKeys, kD, kBlock, kValid, Shift(10, 8, 20),
      Count("width of q", 64, 16)},
     ScoresInt8},
    {"flash_values", {kRows, kKeys, kD, kBlock}, Values},
    {"flash_tile_scores_bf16", {kBlock, kValid}},
    {"flash_tile_scores_i8",
     {kBlock, kValid, Shift(10, 8, 20), Count("width of q", 64, 64)},
     TileScoresInt8},
    {"flash_tile_values", {kBlock}},
    {"flash_finish_bf16", {kRows, kD}, FlashFinish},
    {"flash_finish_i16", {kRows, kD}, FlashFinish},
    {"layer_norm_bf16", {kNormRows, kWidth}, LayerNorm},
    {"layer_norm_i8", {kNormRows, kWidth}, LayerNorm},
    {"layer_norm_stats",
     {kNormRows, kWidth, kStep, Any("steps", 1),
      Bits("1 / width's bits", 1.0F / 512)},
     Statistics},
    {"layer_norm_apply_bf16", {kNormRows, kWidth}, Apply},
    {"layer_norm_apply", {kNormRows, kWidth, Any("to int8", 0)}, Apply},
    {"layer_norm_apply_i8", {kNormRows, kWidth}, Apply},
    {"softmax_bf16", {Count("n", 1500, 1)}, Softmax},
    {"gelu_bf16", {kN}, Each<2>},
    {"add_bf16", {kN}, Each<3>},
    {"quantize_bf16_i8", {kN, Bits("1 / scale's bits", 32)}, Each<2>},
    {"requantize_i32_i8", {kN, Bits("factor's bits", 1.0F / 256)}, Each<2>},
    {"gelu_scaled_i8",
     {kN, Bits("scale's bits", 1.0F / 32), Bits("1 / scale's bits", 32)},
     Each<2>},
};

const Row* RowOf(const KernelInfo& kernel) {
  for (const Row& row : kTable)
    if (row.kernel == kernel.name) return &row;
  return nullptr;
}

}  // namespace

std::span<const KernelInt> IntsOf(const KernelInfo& kernel) {
  const Row* row = RowOf(kernel);
  if (row == nullptr) return {};
  size_t count = 0;
  while (count < kMostInts && !row->ints[count].name.empty()) ++count;
  return std::span(row->ints).first(count);
}

std::vector<int32_t> WholeInts(const KernelInfo& kernel, Ints ints) {
  const std::span<const KernelInt> known = IntsOf(kernel);
  if (ints.size() > known.size())
    Fail(ErrorCode::kBadInput, "npu: {} takes {} ints, not {}", kernel.name,
         known.size(), ints.size());
  std::vector<int32_t> whole(ints.begin(), ints.end());
  for (size_t i = 0; i < known.size(); ++i) {
    const KernelInt& want = known[i];
    if (i == whole.size()) whole.push_back(want.usual);
    if (whole[i] < want.least || whole[i] > want.most)
      Fail(ErrorCode::kBadInput, "npu: {}: {} is {}, want {} to {}",
           kernel.name, want.name, whole[i], want.least, want.most);
    if (whole[i] % want.multiple != 0)
      Fail(ErrorCode::kBadInput, "npu: {}: {} is {}, want a multiple of {}",
           kernel.name, want.name, whole[i], want.multiple);
  }
  return whole;
}

std::vector<int64_t> ElementsOf(const KernelInfo& kernel, Ints ints) {
  const Row* row = RowOf(kernel);
  return row == nullptr || row->elements == nullptr ? Elements{}
                                                    : row->elements(ints);
}

}  // namespace sotto::npu
