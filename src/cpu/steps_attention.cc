// SPDX-License-Identifier: MIT
// Attention, CachedAttention and KvWrite.
#include "cpu/lower.h"

namespace sotto::cpu {
namespace {

// Elements between the heads of a KV state [slots, heads, positions, dim].
int64_t HeadStride(const Shape& state) {
  return KvPositions(state[2]) * state[3];
}

}  // namespace

std::unique_ptr<Step> LowerAttention(const Lowering& lowering) {
  const auto& attrs = std::get<ir::AttentionAttrs>(lowering.node().attrs);
  const RowsOf q = lowering.InputRows(0);
  const RowsOf k = lowering.InputRows(1);
  const RowsOf v = lowering.InputRows(2);
  const RowsOf y = lowering.OutputRows();
  if (k.type != q.type || v.type != q.type)
    lowering.Reject("q, k and v differ in type");
  const Shape& shape = lowering.InputValue(0).shape;
  AttentionArgs args{.batch = shape[0],
                     .t = shape[1],
                     .heads = attrs.heads,
                     .head_dim = q.width / attrs.heads,
                     .x_type = q.type,
                     .q_stride = q.stride,
                     .k_stride = k.stride,
                     .v_stride = v.stride,
                     .y_stride = y.stride,
                     .scale = attrs.scale,
                     .q_chunk = attrs.q_chunk,
                     .y_type = y.type};
  StepInfo info;
  const KernelRow& row = lowering.Choose(
      ir::Op::kAttention,
      {.x = q.type, .y = y.type, .m = args.t, .head_dim = args.head_dim}, info);
  info.flops = 4.0 * static_cast<double>(q.rows * args.t * q.width);
  return MakeStep(lowering, row, std::move(info), args,
                  [q = q.id, k = k.id, v = v.id, y = y.id](AttentionArgs& a,
                                                           const Frame& frame) {
                    a.q = frame.values[q];
                    a.k = frame.values[k];
                    a.v = frame.values[v];
                    a.y = frame.values[y];
                  });
}

std::unique_ptr<Step> LowerCachedAttention(const Lowering& lowering) {
  const auto& attrs = std::get<ir::CachedAttentionAttrs>(lowering.node().attrs);
  const RowsOf q = lowering.InputRows(0);
  const RowsOf y = lowering.OutputRows();
  const ir::Value& k = lowering.InputValue(1);
  const ir::Value& v = lowering.InputValue(2);
  const Shape& shape = lowering.InputValue(0).shape;
  const Shape& state = k.shape;
  if (!(v.shape == state) || v.dtype != k.dtype)
    lowering.Reject(fmt::format("keys are {}{}, values are {}{}", Name(k.dtype),
                                state.ToString(), Name(v.dtype),
                                v.shape.ToString()));
  if (k.dtype == DType::kBF16 && state[3] % 2 != 0)
    lowering.Reject("bf16 states want an even head_dim");
  const CachedAttentionArgs args{.batch = shape[0],
                                 .tokens = shape[1],
                                 .heads = state[1],
                                 .head_dim = state[3],
                                 .q_type = q.type,
                                 .q_stride = q.stride,
                                 .kv_type = k.dtype,
                                 .slot_stride = state[1] * HeadStride(state),
                                 .head_stride = HeadStride(state),
                                 .extent = attrs.extent,
                                 .causal = attrs.causal,
                                 .q_chunk = attrs.q_chunk,
                                 .y_stride = y.stride,
                                 .scale = attrs.scale,
                                 .y_type = y.type};
  StepInfo info;
  const KernelRow& row = lowering.Choose(ir::Op::kCachedAttention,
                                         {.x = q.type,
                                          .w = k.dtype,
                                          .y = y.type,
                                          .m = args.tokens,
                                          .head_dim = args.head_dim},
                                         info);
  info.flops = 4.0 * static_cast<double>(q.rows * args.extent * q.width);
  info.read_bytes =
      2.0 *
      static_cast<double>(BytesOf(
          k.dtype, static_cast<size_t>(shape[0] * args.extent * q.width)));
  return MakeStep(lowering, row, std::move(info), args,
                  [q = q.id, k = lowering.Input(1), v = lowering.Input(2),
                   pos = lowering.Input(3), slot = lowering.Input(4),
                   y = y.id](CachedAttentionArgs& a, const Frame& frame) {
                    a.q = frame.values[q];
                    a.k = frame.values[k];
                    a.v = frame.values[v];
                    a.pos = frame.At<const int32_t>(pos);
                    a.slot = frame.At<const int32_t>(slot);
                    a.y = frame.values[y];
                  });
}

std::unique_ptr<Step> LowerKvWrite(const Lowering& lowering) {
  const auto& attrs = std::get<ir::KvWriteAttrs>(lowering.node().attrs);
  const ir::Value& state = lowering.InputValue(0);
  const RowsOf rows = lowering.InputRows(1);
  const Shape& shape = lowering.InputValue(1).shape;
  if (state.dtype == DType::kBF16 && state.shape[3] % 2 != 0)
    lowering.Reject("bf16 states want an even head_dim");
  const KvWriteArgs args{
      .batch = shape[0],
      .tokens = shape[1],
      .heads = state.shape[1],
      .head_dim = state.shape[3],
      .rows = rows.In(),
      .state_type = state.dtype,
      .slot_stride = state.shape[1] * HeadStride(state.shape),
      .head_stride = HeadStride(state.shape),
      .slots = state.shape[0],
      .positions = state.shape[2],
      .kind = attrs.kind};
  StepInfo info;
  const KernelRow& row = lowering.Choose(ir::Op::kKvWrite,
                                         {.x = rows.type,
                                          .w = state.dtype,
                                          .m = rows.rows,
                                          .head_dim = args.head_dim},
                                         info);
  return MakeStep(
      lowering, row, std::move(info), args,
      [state_id = lowering.Input(0), rows_id = rows.id, pos = lowering.Input(2),
       slot = lowering.Input(3)](KvWriteArgs& a, const Frame& frame) {
        a.state = frame.values[state_id];
        a.rows.data = frame.values[rows_id];
        a.pos = frame.At<const int32_t>(pos);
        a.slot = frame.At<const int32_t>(slot);
      });
}

}  // namespace sotto::cpu
