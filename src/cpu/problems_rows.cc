// SPDX-License-Identifier: MIT
// Random problems for the ops that work on rows one by one.
#include <algorithm>
#include <cmath>

#include "cpu/problem_parts.h"

namespace sotto::cpu {
namespace {

// Ops whose arguments are all set when the problem is made.
template <typename Args>
struct RowsProblem final : Problem {
  Args args;
  std::vector<Buffer> inputs;
  std::vector<int32_t> ids, pos, slot;
  std::vector<float> errors;  // beyond rounding to the output's type

  void Run(const KernelRow& row, const CpuFeatures& features,
           ThreadPool& pool) override {
    y.Poison();
    RunRow(row, features, pool, args);
  }
  std::vector<float> Bounds(Order /*order*/) override {
    ThreadPool pool(1);
    Run(ReferenceRow(op), {}, pool);
    std::vector<float> bounds = y.Values();
    for (size_t i = 0; i < bounds.size(); ++i)
      bounds[i] = std::abs(bounds[i]) * (OutputError(y.type) + kUnit) +
                  (errors.empty() ? 0 : errors[i]);
    return bounds;
  }
};

template <typename Args>
std::unique_ptr<RowsProblem<Args>> StartRows(const RowsCase& c,
                                             std::string_view name) {
  auto p = std::make_unique<RowsProblem<Args>>();
  p->op = c.op;
  p->shape = {.x = c.x, .w = c.w, .y = c.y, .m = c.m, .n = c.n};
  p->text = fmt::format("{} m={} n={} {} gap={} seed={}", name, c.m, c.n,
                        TypesText(c.x, c.w, c.y), c.gap, c.seed);
  p->y = OutputRows::Make(c.y, c.m, c.n, c.n + c.gap);
  p->bytes = static_cast<double>(
      c.m * c.n * static_cast<int64_t>(SizeOf(c.x) + SizeOf(c.y)));
  return p;
}

template <typename Args>
RowsIn TakeInput(RowsProblem<Args>& p, DType type, int64_t rows, int64_t width,
                 int64_t gap, uint32_t seed) {
  p.inputs.push_back(InputRows(type, rows, width, width + gap, seed));
  return {p.inputs.back().data(), type, width + gap};
}

template <typename Args>
RowsOut Out(const RowsProblem<Args>& p) {
  return {p.y.memory.data(), p.y.type, p.y.stride};
}

std::unique_ptr<Problem> MakeLayerNorm(const RowsCase& c) {
  auto p = StartRows<LayerNormArgs>(c, "layer_norm");
  LayerNormArgs& a = p->args;
  a.m = c.m;
  a.n = c.n;
  a.x = TakeInput(*p, c.x, c.m, c.n, c.gap, c.seed);
  a.w = static_cast<const float*>(
      TakeInput(*p, DType::kF32, 1, c.n, 0, c.seed + 1).data);
  a.b = static_cast<const float*>(
      TakeInput(*p, DType::kF32, 1, c.n, 0, c.seed + 2).data);
  a.y = Out(*p);
  // Mean and variance are sums of n; the row is divided by its deviation.
  for (int64_t r = 0; r < c.m; ++r) {
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < c.n; ++i)
      sum += static_cast<double>(LoadRow(a.x, r, i));
    const double mean = sum / static_cast<double>(c.n);
    float top = 0;
    for (int64_t i = 0; i < c.n; ++i) {
      const float value = LoadRow(a.x, r, i);
      top = std::max(top, std::abs(value));
      squares += std::pow(static_cast<double>(value) - mean, 2.0);
    }
    const float scale =
        static_cast<float>(1 / std::sqrt(squares / static_cast<double>(c.n) +
                                         static_cast<double>(a.epsilon)));
    for (int64_t i = 0; i < c.n; ++i)
      p->errors.push_back(static_cast<float>(c.n + 16) * kUnit * 4 * top *
                              scale * std::abs(a.w[i]) +
                          std::abs(a.b[i]) * kUnit);
  }
  return p;
}

std::unique_ptr<Problem> MakeMap(const RowsCase& c) {
  const bool gelu = c.op == ir::Op::kGelu;
  auto p = StartRows<MapArgs>(c, gelu ? "gelu" : "cast");
  p->args = {.m = c.m,
             .n = c.n,
             .x = TakeInput(*p, c.x, c.m, c.n, c.gap, c.seed),
             .y = Out(*p)};
  for (int64_t i = 0; i < c.m * c.n; ++i)
    p->errors.push_back(
        gelu ? 4e-7f * std::abs(LoadRow(p->args.x, i / c.n, i % c.n)) : 0);
  return p;
}

std::unique_ptr<Problem> MakeAdd(const RowsCase& c) {
  auto p = StartRows<AddArgs>(c, "add");
  const int64_t b_rows = c.m % 2 == 0 ? c.m / 2 : c.m;
  p->args = {.m = c.m,
             .n = c.n,
             .a = TakeInput(*p, c.x, c.m, c.n, c.gap, c.seed),
             .b = TakeInput(*p, c.w, b_rows, c.n, 0, c.seed + 1),
             .b_rows = b_rows,
             .y = Out(*p)};
  return p;
}

std::unique_ptr<Problem> MakeTranspose(const RowsCase& c) {
  RowsCase dense = c;  // [n][m] -> [m][n]
  dense.gap = 0;
  dense.y = c.x;
  auto p = StartRows<TransposeArgs>(dense, "transpose");
  p->args = {.batch = 1,
             .rows = c.n,
             .cols = c.m,
             .x = TakeInput(*p, c.x, c.n, c.m, 0, c.seed).data,
             .y = p->y.memory.data(),
             .type = c.x};
  return p;
}

// Ids and positions, some of them outside what there is.
std::vector<int32_t> Indices(int64_t count, int32_t below, uint32_t seed) {
  std::mt19937 random(seed);
  std::uniform_int_distribution<int32_t> any(-2, below + 1);
  std::vector<int32_t> values(static_cast<size_t>(count));
  for (int32_t& value : values) value = any(random);
  return values;
}

std::unique_ptr<Problem> MakeEmbed(const RowsCase& c) {
  auto p = StartRows<EmbedArgs>(c, "embed");
  constexpr int64_t kVocab = 37, kPositions = 11;
  const int64_t packed = PackedElements(c.w, kVocab, c.n);
  const int64_t batch = c.m % 3 == 0 ? 3 : 1;
  p->ids = Indices(c.m, kVocab, c.seed);
  p->pos = Indices(batch, kPositions, c.seed + 1);
  p->args = {
      .batch = batch,
      .tokens = c.m / batch,
      .width = c.n,
      .vocab = kVocab,
      .max_positions = kPositions,
      .ids = p->ids.data(),
      .table = TakeInput(*p, c.w, 1, packed, 0, c.seed + 2).data,
      .table_type = c.w,
      .positions = static_cast<const float*>(
          TakeInput(*p, DType::kF32, kPositions, c.n, 0, c.seed + 3).data),
      .pos = p->pos.data(),
      .y = Out(*p)};
  return p;
}

std::unique_ptr<Problem> MakeSelectRows(const RowsCase& c) {
  RowsCase same = c;
  same.y = c.x;
  auto p = StartRows<SelectRowsArgs>(same, "select_rows");
  const int64_t batch = c.m % 2 == 0 ? 2 : 1;
  constexpr int64_t kTokens = 5;
  p->ids = Indices(c.m, kTokens, c.seed);
  p->args = {.batch = batch,
             .tokens = kTokens,
             .count = c.m / batch,
             .width = c.n,
             .x = TakeInput(*p, c.x, batch * kTokens, c.n, c.gap, c.seed),
             .rows = p->ids.data(),
             .y = Out(*p)};
  return p;
}

// n is heads * head_dim; the output is the whole state as one row.
std::unique_ptr<Problem> MakeKvWrite(const RowsCase& c) {
  auto p = StartRows<KvWriteArgs>(c, "kv_write");
  constexpr int64_t kSlots = 3, kPositions = 40;
  const int64_t heads = c.n % 3 == 0 ? 3 : 1;
  const int64_t head_dim = c.n / heads;
  const int64_t batch = c.m % 2 == 0 ? 2 : 1;
  const int64_t head_stride = KvPositions(kPositions) * head_dim;
  p->shape.head_dim = head_dim;
  p->slot = {2, 0};
  p->pos = Indices(batch, kPositions, c.seed);
  p->y = OutputRows::Make(c.w, 1, kSlots * heads * head_stride,
                          kSlots * heads * head_stride);
  p->args = {.batch = batch,
             .tokens = c.m / batch,
             .heads = heads,
             .head_dim = head_dim,
             .rows = TakeInput(*p, c.x, c.m, c.n, c.gap, c.seed),
             .state = p->y.memory.data(),
             .state_type = c.w,
             .slot_stride = heads * head_stride,
             .head_stride = head_stride,
             .slots = kSlots,
             .positions = kPositions,
             .kind = c.seed % 2 == 0 ? ir::KvKind::kKey : ir::KvKind::kValue,
             .pos = p->pos.data(),
             .slot = p->slot.data()};
  return p;
}

}  // namespace

std::unique_ptr<Problem> MakeProblem(const RowsCase& c) {
  switch (c.op) {
    case ir::Op::kLayerNorm:
      return MakeLayerNorm(c);
    case ir::Op::kGelu:
    case ir::Op::kCast:
      return MakeMap(c);
    case ir::Op::kAdd:
      return MakeAdd(c);
    case ir::Op::kTranspose:
      return MakeTranspose(c);
    case ir::Op::kEmbed:
      return MakeEmbed(c);
    case ir::Op::kSelectRows:
      return MakeSelectRows(c);
    case ir::Op::kKvWrite:
      return MakeKvWrite(c);
    default:
      return nullptr;
  }
}

}  // namespace sotto::cpu
