// SPDX-License-Identifier: MIT
#include "cpu/problems.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "cpu/test_util.h"

namespace sotto::cpu {
namespace {

// Half a unit of the last place of f32: one rounding.
constexpr float kUnit = 0x1p-24f;
constexpr std::byte kPoison{0xcd};

// What rounding to the output's type may add, per unit of the value: half a
// place in the reference and half a place in the kernel.
float OutputError(DType type) {
  return type == DType::kF32   ? 2 * kUnit
         : type == DType::kF16 ? 0x1p-10f
                               : 0x1p-7f;
}

// Inputs with gaps between rows that hold NaN.
Buffer InputRows(DType type, int64_t rows, int64_t width, int64_t stride,
                 uint32_t seed, float scale = 1) {
  const std::vector<float> values = RandomValues(rows * width, seed, scale);
  Buffer buffer(BytesOf(type, static_cast<size_t>(rows * stride)) + 1);
  for (int64_t i = 0; i < rows * stride; ++i)
    StoreElement(buffer.data(), type, i, std::nanf(""));
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t i = 0; i < width; ++i)
      StoreElement(buffer.data(), type, r * stride + i,
                   values[static_cast<size_t>(r * width + i)]);
  return buffer;
}

Buffer Absolute(const Buffer& from, DType type, int64_t count) {
  Buffer to(BytesOf(type, static_cast<size_t>(count)) + 1);
  for (int64_t i = 0; i < count; ++i)
    StoreElement(to.data(), type, i,
                 std::abs(LoadElement(from.data(), type, i)));
  return to;
}

template <typename Args>
void RunRow(const KernelRow& row, const CpuFeatures& features, ThreadPool& pool,
            const Args& args) {
  // note: exactly what the kernel asked for, so that sanitizers see a byte too
  // many.
  const size_t bytes = row.Scratch(args, pool.threads());
  const Buffer scratch(bytes);
  // NaN in every type.
  if (bytes > 0) std::memset(scratch.data(), 0xff, bytes);
  row.Function<Args>(features)(args, Context{&pool, scratch.data()});
}

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

std::string TypesText(DType x, DType w, DType y) {
  return fmt::format("{},{}->{}", Name(x), Name(w), Name(y));
}

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
      "extent={} causal={} {} gap={} seed={}",
      batch, c.tokens, c.heads, c.head_dim, c.pos[0], c.extent, c.causal,
      TypesText(c.q, c.kv, c.y), c.gap, c.seed);
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
             .y_stride = width + c.gap,
             .scale = 1 / std::sqrt(static_cast<float>(c.head_dim)),
             .y_type = c.y};
  return p;
}

namespace {

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
