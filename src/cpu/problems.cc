// SPDX-License-Identifier: MIT
#include "cpu/problems.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "cpu/problem_parts.h"

namespace sotto::cpu {
namespace {

struct LinearProblem final : Problem {
  LinearArgs args;
  Buffer x, w, bias, residual;
  ResidualKind kind = ResidualKind::kNone;

  void Run(const KernelRow& row, const CpuFeatures& features,
           ThreadPool& pool) override {
    y.Poison();
    if (kind == ResidualKind::kInPlace) {
      for (int64_t r = 0; r < args.m; ++r)
        std::memcpy(y.memory.As<float>() + r * y.stride,
                    residual.As<float>() + r * y.stride,
                    static_cast<size_t>(args.n) * sizeof(float));
      args.residual = y.memory.As<float>();
    }
    args.y = y.memory.data();
    RunRow(row, features, pool, args);
  }

  // A chain of k products errs by at most k roundings of sum |x||w|; GELU
  // stretches by at most 1.13 and adds 4e-7 |x|.
  std::vector<float> Bounds(Order order) override {
    ThreadPool pool(1);
    const Buffer ax = Absolute(x, args.x_type, args.m * args.x_stride);
    const int64_t packed = PackedElements(args.w_type, args.n, args.k);
    const Buffer aw = Absolute(w, args.w_type, packed);
    const Buffer ab = Absolute(bias, DType::kF32, args.n);
    std::vector<float> size(static_cast<size_t>(args.m * args.n));
    LinearArgs norms = args;
    norms.x = ax.data();
    norms.w = aw.data();
    norms.bias = args.bias == nullptr ? nullptr : ab.As<float>();
    norms.residual = nullptr;
    norms.act = ir::Activation::kNone;
    norms.y = size.data();
    norms.y_type = DType::kF32;
    norms.y_stride = args.n;
    RunRow(ReferenceRow(op), {}, pool, norms);
    Run(ReferenceRow(op), {}, pool);
    const std::vector<float> want = y.Values();
    const bool gelu = args.act == ir::Activation::kGelu;
    // Units of bf16 flush denormals, 2^-126 per product, and round f32 inputs.
    const bool half = order == Order::kPairs || order == Order::kTile;
    const float flushed = half ? static_cast<float>(args.k) * 0x1p-126f : 0;
    const float rounded = half && args.x_type == DType::kF32 ? 0x1p-8f : 0;
    for (size_t i = 0; i < size.size(); ++i)
      size[i] = size[i] * (static_cast<float>(args.k + 4) * kUnit + rounded) *
                    (gelu ? 1.13f : 1.0f) +
                (gelu ? size[i] * 4e-7f : 0.0f) + flushed +
                std::abs(want[i]) * (OutputError(args.y_type) + kUnit);
    return size;
  }
};

struct AttentionProblem final : Problem {
  AttentionArgs args;
  Buffer q, k, v;

  void Run(const KernelRow& row, const CpuFeatures& features,
           ThreadPool& pool) override {
    y.Poison();
    args.y = y.memory.data();
    RunRow(row, features, pool, args);
  }
  std::vector<float> Bounds(Order order) override;
};

// Largest |value| in columns [first, first + count) of each row.
float LargestIn(const void* data, DType type, int64_t at, int64_t count) {
  float top = 0;
  for (int64_t i = 0; i < count; ++i)
    top = std::max(top, std::abs(LoadElement(data, type, at + i)));
  return top;
}

// The error of one attention output: scores err by (h + 4) roundings of
// sum |q||k| scale; that error twice (weight and sum) is the weights' relative
// error, to which exponential and folding add; the sum over keys has `keys`
// roundings. Kernels that weigh in bf16 round every weight.
float AttentionBound(float q, float k, float v, float scale, int64_t head_dim,
                     int64_t keys, Order order, DType y_type) {
  const float h = static_cast<float>(head_dim);
  const bool half = order != Order::kChain && order != Order::kDouble;
  // bf16 kernels round scale * q once more.
  const float dot =
      h * q * k * std::abs(scale) * ((h + 4) * kUnit + (half ? 0x1p-8f : 0.0f));
  const float weights = 2 * dot + static_cast<float>(keys + 16) * kUnit +
                        8 * kUnit + (half ? 0x1p-7f : 0.0f);
  return v * (weights + OutputError(y_type) + kUnit);
}

std::vector<float> AttentionProblem::Bounds(Order order) {
  std::vector<float> bounds;
  const int64_t width = args.heads * args.head_dim;
  for (int64_t row = 0; row < args.batch * args.t; ++row) {
    const int64_t first = row / args.t * args.t;
    for (int64_t head = 0; head < args.heads; ++head) {
      const int64_t column = head * args.head_dim;
      float top_k = 0, top_v = 0;
      for (int64_t i = 0; i < args.t; ++i) {
        top_k = std::max(top_k, LargestIn(k.data(), args.x_type,
                                          (first + i) * args.k_stride + column,
                                          args.head_dim));
        top_v = std::max(top_v, LargestIn(v.data(), args.x_type,
                                          (first + i) * args.v_stride + column,
                                          args.head_dim));
      }
      const float top_q = LargestIn(
          q.data(), args.x_type, row * args.q_stride + column, args.head_dim);
      bounds.insert(bounds.end(), static_cast<size_t>(args.head_dim),
                    AttentionBound(top_q, top_k, top_v, args.scale,
                                   args.head_dim, args.t, order, args.y_type));
    }
  }
  SOTTO_CHECK(static_cast<int64_t>(bounds.size()) ==
              args.batch * args.t * width);
  return bounds;
}

struct CachedProblem final : Problem {
  CachedAttentionArgs args;
  Buffer q, k, v;
  std::vector<int32_t> pos, slot;
  float top_k = 0, top_v = 0;

  void Run(const KernelRow& row, const CpuFeatures& features,
           ThreadPool& pool) override {
    y.Poison();
    args.y = y.memory.data();
    RunRow(row, features, pool, args);
  }
  std::vector<float> Bounds(Order order) override {
    std::vector<float> bounds;
    for (int64_t row = 0; row < args.batch * args.tokens; ++row) {
      for (int64_t head = 0; head < args.heads; ++head) {
        const float top_q = LargestIn(
            q.data(), args.q_type, row * args.q_stride + head * args.head_dim,
            args.head_dim);
        bounds.insert(
            bounds.end(), static_cast<size_t>(args.head_dim),
            AttentionBound(top_q, top_k, top_v, args.scale, args.head_dim,
                           args.extent, order, args.y_type));
      }
    }
    return bounds;
  }
};

}  // namespace

OutputRows OutputRows::Make(DType type, int64_t rows, int64_t width,
                            int64_t stride) {
  return {type, rows, width, stride,
          Buffer(BytesOf(type, static_cast<size_t>(rows * stride)))};
}

void OutputRows::Poison() {
  std::memset(memory.data(), static_cast<int>(kPoison), memory.size());
}

bool OutputRows::GapsHold() const {
  const size_t size = SizeOf(type);
  for (int64_t r = 0; r < rows; ++r)
    for (size_t i = static_cast<size_t>(r * stride + width) * size;
         i < static_cast<size_t>((r + 1) * stride) * size; ++i)
      if (memory.data()[i] != kPoison) return false;
  return true;
}

std::vector<float> OutputRows::Values() const {
  std::vector<float> values;
  values.reserve(static_cast<size_t>(rows * width));
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t i = 0; i < width; ++i)
      values.push_back(LoadElement(memory.data(), type, r * stride + i));
  return values;
}

std::unique_ptr<Problem> MakeProblem(const LinearCase& c) {
  auto p = std::make_unique<LinearProblem>();
  p->op = ir::Op::kLinear;
  p->shape = {.x = c.x, .w = c.w, .y = c.y, .m = c.m, .n = c.n, .k = c.k};
  p->text = fmt::format(
      "linear m={} n={} k={} {} bias={} residual={} gelu={} gap={} seed={}",
      c.m, c.n, c.k, TypesText(c.x, c.w, c.y), c.bias,
      static_cast<int>(c.residual), c.act == ir::Activation::kGelu, c.gap,
      c.seed);
  p->flops = 2.0 * static_cast<double>(c.m * c.n * c.k);
  p->kind = c.residual;
  p->x = InputRows(c.x, c.m, c.k, c.k + c.gap, c.seed);
  const std::vector<float> w = RandomValues(c.n * c.k, c.seed + 1);
  const int64_t packed = PackedElements(c.w, c.n, c.k);
  p->bytes = static_cast<double>(BytesOf(c.w, static_cast<size_t>(packed)));
  p->w = Buffer(BytesOf(c.w, static_cast<size_t>(packed)));
  for (int64_t n = 0; n < c.n; ++n)
    for (int64_t k = 0; k < c.k; ++k)
      StoreElement(p->w.data(), c.w, PackedIndex(c.w, PaddedK(c.w, c.k), n, k),
                   w[static_cast<size_t>(n * c.k + k)]);
  p->bias = InputRows(DType::kF32, 1, c.n, c.n, c.seed + 2);
  const int64_t stride = c.n + c.gap;
  const int64_t residual_rows = c.residual == ResidualKind::kRepeated
                                    ? std::max<int64_t>(1, c.m / 2)
                                    : c.m;
  p->residual = InputRows(DType::kF32, residual_rows, c.n, stride, c.seed + 3);
  p->y = OutputRows::Make(c.y, c.m, c.n, stride);
  p->args = {.m = c.m,
             .n = c.n,
             .k = c.k,
             .x = p->x.data(),
             .x_type = c.x,
             .x_stride = c.k + c.gap,
             .w = p->w.data(),
             .w_type = c.w,
             .bias = c.bias ? p->bias.As<float>() : nullptr,
             .residual = c.residual == ResidualKind::kNone
                             ? nullptr
                             : p->residual.As<float>(),
             .residual_stride = stride,
             .residual_rows = residual_rows,
             .y_stride = stride,
             .y_type = c.y,
             .act = c.act};
  return p;
}

std::unique_ptr<Problem> MakeProblem(const AttentionCase& c) {
  auto p = std::make_unique<AttentionProblem>();
  p->op = ir::Op::kAttention;
  p->shape = {.x = c.x, .y = c.y, .m = c.t, .head_dim = c.head_dim};
  p->text = fmt::format(
      "attention batch={} t={} heads={} head_dim={} {} q_chunk={} gap={} "
      "seed={}",
      c.batch, c.t, c.heads, c.head_dim, TypesText(c.x, c.x, c.y), c.q_chunk,
      c.gap, c.seed);
  const int64_t width = c.heads * c.head_dim;
  const int64_t rows = c.batch * c.t;
  p->flops = 4.0 * static_cast<double>(rows * c.t * width);
  // Large scores, so that maxima matter.
  p->q = InputRows(c.x, rows, width, width + c.gap, c.seed, 2);
  p->k = InputRows(c.x, rows, width, width + c.gap, c.seed + 1, 2);
  p->v = InputRows(c.x, rows, width, width + c.gap, c.seed + 2);
  p->y = OutputRows::Make(c.y, rows, width, width + c.gap);
  p->args = {.batch = c.batch,
             .t = c.t,
             .heads = c.heads,
             .head_dim = c.head_dim,
             .q = p->q.data(),
             .k = p->k.data(),
             .v = p->v.data(),
             .x_type = c.x,
             .q_stride = width + c.gap,
             .k_stride = width + c.gap,
             .v_stride = width + c.gap,
             .y_stride = width + c.gap,
             .scale = 1 / std::sqrt(static_cast<float>(c.head_dim)),
             .q_chunk = c.q_chunk,
             .y_type = c.y};
  return p;
}

std::unique_ptr<Problem> MakeProblem(const CachedCase& c) {
  auto p = std::make_unique<CachedProblem>();
  p->op = ir::Op::kCachedAttention;
  p->shape = {
      .x = c.q, .w = c.kv, .y = c.y, .m = c.tokens, .head_dim = c.head_dim};
  const int64_t batch = static_cast<int64_t>(c.pos.size());
  const int64_t width = c.heads * c.head_dim;
  const int64_t rows = batch * c.tokens;
  p->text = fmt::format(
      "cached_attention batch={} tokens={} heads={} head_dim={} pos={} "
      "extent={} causal={} q_chunk={} {} gap={} seed={}",
      batch, c.tokens, c.heads, c.head_dim, c.pos[0], c.extent, c.causal,
      c.q_chunk, TypesText(c.q, c.kv, c.y), c.gap, c.seed);
  p->q = InputRows(c.q, rows, width, width + c.gap, c.seed, 2);
  p->y = OutputRows::Make(c.y, rows, width, width + c.gap);
  p->pos = c.pos;
  p->slot = c.slot;
  const int64_t slots = 1 + *std::max_element(c.slot.begin(), c.slot.end());
  const int64_t head_stride = KvPositions(c.positions) * c.head_dim;
  const int64_t count = slots * c.heads * head_stride;
  p->k = Buffer(BytesOf(c.kv, static_cast<size_t>(count)));
  p->v = Buffer(BytesOf(c.kv, static_cast<size_t>(count)));
  for (int64_t i = 0; i < count; ++i) {
    StoreElement(p->k.data(), c.kv, i, c.poison);
    StoreElement(p->v.data(), c.kv, i, c.poison);
  }
  const std::vector<float> k = RandomValues(c.positions * width, c.seed + 1, 2);
  const std::vector<float> v = RandomValues(c.positions * width, c.seed + 2);
  for (int64_t b = 0; b < batch; ++b) {
    const int64_t seen =
        c.causal ? std::min<int64_t>(c.pos[static_cast<size_t>(b)] + c.tokens,
                                     c.extent)
                 : c.extent;
    p->bytes += 2.0 * static_cast<double>(
                          BytesOf(c.kv, static_cast<size_t>(seen * width)));
    p->flops += 4.0 * static_cast<double>(c.tokens * seen * width);
    for (int64_t head = 0; head < c.heads; ++head) {
      const int64_t base =
          (c.slot[static_cast<size_t>(b)] * c.heads + head) * head_stride;
      for (int64_t i = 0; i < seen; ++i) {
        for (int64_t d = 0; d < c.head_dim; ++d) {
          const size_t at =
              static_cast<size_t>((i * c.heads + head) * c.head_dim + d);
          StoreElement(p->k.data(), c.kv,
                       base + KvIndex(c.kv, ir::KvKind::kKey, c.head_dim, i, d),
                       k[at]);
          StoreElement(
              p->v.data(), c.kv,
              base + KvIndex(c.kv, ir::KvKind::kValue, c.head_dim, i, d),
              v[at]);
          p->top_k = std::max(p->top_k, std::abs(k[at]));
          p->top_v = std::max(p->top_v, std::abs(v[at]));
        }
      }
    }
  }
  p->args = {.batch = batch,
             .tokens = c.tokens,
             .heads = c.heads,
             .head_dim = c.head_dim,
             .q = p->q.data(),
             .q_type = c.q,
             .q_stride = width + c.gap,
             .k = p->k.data(),
             .v = p->v.data(),
             .kv_type = c.kv,
             .slot_stride = c.heads * head_stride,
             .head_stride = head_stride,
             .pos = p->pos.data(),
             .slot = p->slot.data(),
             .extent = c.extent,
             .causal = c.causal,
             .q_chunk = c.q_chunk,
             .y_stride = width + c.gap,
             .scale = 1 / std::sqrt(static_cast<float>(c.head_dim)),
             .y_type = c.y};
  return p;
}

const KernelRow& ReferenceRow(ir::Op op) {
  for (const KernelRow& row : KernelRows())
    if (row.op == op && row.is_reference()) return row;
  Fail(ErrorCode::kInternal, "no reference for op {}", static_cast<int>(op));
}

std::string CompareWithReference(Problem& problem, const KernelRow& row,
                                 const CpuFeatures& features,
                                 ThreadPool& pool) {
  const std::vector<float> bounds = problem.Bounds(row.order);
  problem.Run(ReferenceRow(problem.op), features, pool);
  const std::vector<float> want = problem.y.Values();
  problem.Run(row, features, pool);
  const std::vector<float> got = problem.y.Values();
  if (!problem.y.GapsHold())
    return fmt::format("{}: {} wrote between rows", problem.text, row.name);
  size_t worst = 0;
  float excess = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    const float error = std::abs(got[i] - want[i]);
    const bool same_bits = std::memcmp(&got[i], &want[i], sizeof(float)) == 0;
    // note: written so that NaN counts as an error.
    const float over = same_bits || error <= bounds[i] ? 0
                       : std::isnan(error)             ? 1e30f
                                                       : error / bounds[i];
    if (over > excess) {
      excess = over;
      worst = i;
    }
  }
  if (excess == 0) return "";
  const size_t width = static_cast<size_t>(problem.y.width);
  return fmt::format("{}: {} at [{},{}]: {}, want {} within {}", problem.text,
                     row.name, worst / width, worst % width, got[worst],
                     want[worst], bounds[worst]);
}

}  // namespace sotto::cpu
