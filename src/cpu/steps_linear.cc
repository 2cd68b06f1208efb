// SPDX-License-Identifier: MIT
// Linear, and Conv1d as Linear over a padded input.
#include <algorithm>
#include <cstring>

#include "cpu/lower.h"
#include "tensor/half.h"

namespace sotto::cpu {
namespace {

// The optional f32 vector or matrix added after the product: a weight, packed
// plain, or a value of the run.
struct Residual {
  const float* packed = nullptr;
  ir::ValueId id = ir::kNoValue;
  int64_t stride = 0, rows = 0;

  const float* At(const Frame& frame) const {
    return id == ir::kNoValue ? packed : frame.At<const float>(id);
  }
};

Residual LowerResidual(const Lowering& lowering, size_t input,
                       int64_t all_rows) {
  Residual residual{.rows = all_rows};
  if (lowering.Input(input) == ir::kNoValue) return residual;
  const RowsOf rows = lowering.InputRows(input);
  residual.stride = rows.stride;
  residual.rows = rows.rows;
  if (lowering.InputValue(input).kind == ir::ValueKind::kWeight) {
    residual.packed = lowering.Plain(input);
    return residual;
  }
  if (rows.type != DType::kF32)
    lowering.Reject(
        fmt::format("the residual is {}, want f32", Name(rows.type)));
  residual.id = rows.id;
  return residual;
}

const float* LowerBias(const Lowering& lowering) {
  return lowering.Input(2) == ir::kNoValue ? nullptr : lowering.Plain(2);
}

double PackedBytes(DType type, int64_t n, int64_t k) {
  return static_cast<double>(
      BytesOf(type, static_cast<size_t>(PackedElements(type, n, k))));
}

// Rows [0, t) of x between two rows of zeros, in the type that the kernel
// reads.
struct Padding {
  RowsIn x;
  int64_t t, channels;
  DType type;

  int64_t elements() const { return (t + 2) * channels; }
  void Fill(const Frame& frame, std::byte* out) const;
};

void WidenRow(const void* from, DType type, int64_t at, int64_t n, float* out) {
  if (type == DType::kF32) {
    std::memcpy(out, static_cast<const float*>(from) + at,
                static_cast<size_t>(n) * sizeof(float));
    return;
  }
  const BF16* values = static_cast<const BF16*>(from) + at;
  for (int64_t i = 0; i < n; ++i) out[i] = ToFloat(values[i]);
}

void NarrowRow(const void* from, DType type, int64_t at, int64_t n, BF16* out) {
  if (type == DType::kBF16) {
    std::memcpy(out, static_cast<const BF16*>(from) + at,
                static_cast<size_t>(n) * sizeof(BF16));
    return;
  }
  const float* values = static_cast<const float*>(from) + at;
  for (int64_t i = 0; i < n; ++i) out[i] = ToBF16(values[i]);
}

void Padding::Fill(const Frame& frame, std::byte* out) const {
  constexpr int64_t kRows = 64;  // a task: some 20 us
  const size_t row_bytes = BytesOf(type, static_cast<size_t>(channels));
  std::memset(out, 0, row_bytes);
  std::memset(out + row_bytes * static_cast<size_t>(t + 1), 0, row_bytes);
  frame.pool->ParallelFor((t + kRows - 1) / kRows, [&](int64_t task, int) {
    for (int64_t row = task * kRows; row < std::min(t, (task + 1) * kRows);
         ++row) {
      void* to = out + row_bytes * static_cast<size_t>(row + 1);
      if (type == DType::kF32) {
        WidenRow(x.data, x.type, row * x.stride, channels,
                 static_cast<float*>(to));
      } else {
        NarrowRow(x.data, x.type, row * x.stride, channels,
                  static_cast<BF16*>(to));
      }
    }
  });
}

// One batch row after the other: pad it, then run the kernel over it.
class ConvStep final : public Step {
 public:
  struct Parts {
    int64_t batch;
    Padding padding;
    ir::ValueId x, y;
    LinearArgs linear;  // of one batch row
    Residual residual;
    int threads;
  };
  ConvStep(StepInfo info, const Parts& parts, LinearFn run)
      : p_(parts), run_(run) {
    info_ = std::move(info);
  }

  void Run(const Frame& frame) const override {
    SOTTO_CHECK(frame.pool->threads() <= p_.threads);
    const size_t padded_bytes =
        BytesOf(p_.padding.type, static_cast<size_t>(p_.padding.elements()));
    for (int64_t b = 0; b < p_.batch; ++b) {
      Padding padding = p_.padding;
      padding.x.data =
          frame.At<std::byte>(p_.x) +
          BytesOf(padding.x.type,
                  static_cast<size_t>(b * padding.t * padding.x.stride));
      padding.Fill(frame, frame.scratch);
      LinearArgs args = p_.linear;
      args.x = frame.scratch;
      args.y =
          frame.At<std::byte>(p_.y) +
          BytesOf(args.y_type, static_cast<size_t>(b * args.m * args.y_stride));
      args.residual = p_.residual.At(frame);
      if (args.residual != nullptr)
        args.residual += b * args.m % p_.residual.rows * p_.residual.stride;
      run_(args,
           Context{frame.pool,
                   frame.scratch + RoundUp(static_cast<int64_t>(padded_bytes),
                                           kAlignment)});
    }
  }

 private:
  Parts p_;
  LinearFn run_;
};

// What the arguments of Linear and of a direct convolution have in common,
// then the step.
template <typename Args>
std::unique_ptr<Step> MakeMatrixStep(const Lowering& lowering,
                                     const KernelRow& row, StepInfo info,
                                     Args args, int taps) {
  const RowsOf x = lowering.InputRows(0);
  const RowsOf y = lowering.OutputRows();
  const ir::Value& w = lowering.InputValue(1);
  const Residual residual = LowerResidual(lowering, 3, y.rows);
  args.n = y.width;
  args.x_type = x.type;
  args.x_stride = x.stride;
  args.w = lowering.Matrix(1, w.dtype, taps);
  args.w_type = w.dtype;
  args.bias = LowerBias(lowering);
  args.residual_stride = residual.stride;
  args.residual_rows = residual.rows;
  args.y_stride = y.stride;
  args.y_type = y.type;
  return MakeStep(lowering, row, std::move(info), args,
                  [x = x.id, y = y.id, residual](Args& a, const Frame& frame) {
                    a.x = frame.values[x];
                    a.y = frame.values[y];
                    a.residual = residual.At(frame);
                  });
}

std::unique_ptr<Step> LowerConvRef(const Lowering& lowering, StepInfo info,
                                   const KernelRow& row) {
  const auto& attrs = std::get<ir::ConvAttrs>(lowering.node().attrs);
  const Shape& shape = lowering.InputValue(0).shape;
  return MakeMatrixStep(lowering, row, std::move(info),
                        Conv1dArgs{.batch = shape[0],
                                   .t = shape[1],
                                   .channels = lowering.InputRows(0).width,
                                   .stride = attrs.stride,
                                   .act = attrs.act},
                        3);
}

}  // namespace

std::unique_ptr<Step> LowerLinear(const Lowering& lowering) {
  const auto& attrs = std::get<ir::LinearAttrs>(lowering.node().attrs);
  const RowsOf x = lowering.InputRows(0);
  const RowsOf y = lowering.OutputRows();
  const ir::Value& w = lowering.InputValue(1);
  StepInfo info;
  const KernelRow& row = lowering.Choose(ir::Op::kLinear,
                                         {.x = x.type,
                                          .w = w.dtype,
                                          .y = y.type,
                                          .m = x.rows,
                                          .n = y.width,
                                          .k = x.width},
                                         info);
  info.flops = 2.0 * static_cast<double>(x.rows * y.width * x.width);
  info.read_bytes = PackedBytes(w.dtype, y.width, x.width);
  return MakeMatrixStep(lowering, row, std::move(info),
                        LinearArgs{.m = x.rows, .k = x.width, .act = attrs.act},
                        1);
}

std::unique_ptr<Step> LowerConv1d(const Lowering& lowering) {
  const auto& attrs = std::get<ir::ConvAttrs>(lowering.node().attrs);
  const RowsOf x = lowering.InputRows(0);
  const RowsOf y = lowering.OutputRows();
  const ir::Value& w = lowering.InputValue(1);
  const Shape& shape = lowering.InputValue(0).shape;
  const int64_t out_t = lowering.OutputValue().shape[1];
  if (x.type != DType::kF32 && x.type != DType::kBF16)
    lowering.Reject(fmt::format("x is {}, want f32 or bf16", Name(x.type)));
  const DType type = w.dtype == DType::kBF16 ? DType::kBF16 : DType::kF32;
  const KernelShape linear{.x = type,
                           .w = w.dtype,
                           .y = y.type,
                           .m = out_t,
                           .n = y.width,
                           .k = 3 * x.width};
  StepInfo info;
  const KernelRow& row = lowering.Choose(ir::Op::kLinear, linear, info);
  info.flops = 2.0 * static_cast<double>(y.rows * linear.n * linear.k);
  info.read_bytes = PackedBytes(w.dtype, linear.n, linear.k);
  if (row.is_reference()) {
    StepInfo direct = info;
    const KernelRow& conv = lowering.Choose(
        ir::Op::kConv1d, {.x = x.type, .w = w.dtype, .y = y.type}, direct);
    return LowerConvRef(lowering, std::move(direct), conv);
  }
  const Residual residual = LowerResidual(lowering, 3, y.rows);
  const Padding padding{x.In(), shape[1], x.width, type};
  const LinearArgs args{.m = out_t,
                        .n = linear.n,
                        .k = linear.k,
                        .x_type = type,
                        .x_stride = attrs.stride * x.width,
                        .w = lowering.Matrix(1, w.dtype, 3),
                        .w_type = w.dtype,
                        .bias = LowerBias(lowering),
                        .residual_stride = residual.stride,
                        .residual_rows = std::min(residual.rows, out_t),
                        .y_stride = y.stride,
                        .y_type = y.type,
                        .act = attrs.act};
  const size_t padded = BytesOf(type, static_cast<size_t>(padding.elements()));
  info.scratch_bytes =
      static_cast<size_t>(RoundUp(static_cast<int64_t>(padded), kAlignment)) +
      row.Scratch(args, lowering.threads());
  return std::make_unique<ConvStep>(
      std::move(info),
      ConvStep::Parts{shape[0], padding, x.id, y.id, args, residual,
                      lowering.threads()},
      row.Function<LinearArgs>(lowering.options.features));
}

}  // namespace sotto::cpu
