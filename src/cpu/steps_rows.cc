// SPDX-License-Identifier: MIT
// The ops that work on rows one by one.
#include "cpu/lower.h"

namespace sotto::cpu {

std::unique_ptr<Step> LowerLayerNorm(const Lowering& lowering) {
  const auto& attrs = std::get<ir::NormAttrs>(lowering.node().attrs);
  const RowsOf x = lowering.InputRows(0);
  const RowsOf y = lowering.OutputRows();
  StepInfo info;
  const KernelRow& row = lowering.Choose(
      ir::Op::kLayerNorm, {.x = x.type, .y = y.type, .m = x.rows, .n = x.width},
      info);
  info.flops = 8.0 * static_cast<double>(x.rows * x.width);
  const LayerNormArgs args{.m = x.rows,
                           .n = x.width,
                           .x = x.In(),
                           .w = lowering.Plain(1),
                           .b = lowering.Plain(2),
                           .epsilon = attrs.epsilon,
                           .y = y.Out()};
  return MakeStep(lowering, row, std::move(info), args,
                  [x = x.id, y = y.id](LayerNormArgs& a, const Frame& frame) {
                    a.x.data = frame.values[x];
                    a.y.data = frame.values[y];
                  });
}

// Gelu and Cast.
std::unique_ptr<Step> LowerMap(const Lowering& lowering) {
  const RowsOf x = lowering.InputRows(0);
  const RowsOf y = lowering.OutputRows();
  StepInfo info;
  const KernelRow& row = lowering.Choose(
      lowering.node().op, {.x = x.type, .y = y.type, .m = x.rows, .n = x.width},
      info);
  const MapArgs args{.m = x.rows, .n = x.width, .x = x.In(), .y = y.Out()};
  return MakeStep(lowering, row, std::move(info), args,
                  [x = x.id, y = y.id](MapArgs& a, const Frame& frame) {
                    a.x.data = frame.values[x];
                    a.y.data = frame.values[y];
                  });
}

std::unique_ptr<Step> LowerAdd(const Lowering& lowering) {
  const RowsOf a = lowering.InputRows(0);
  RowsOf b = lowering.InputRows(1);
  const RowsOf y = lowering.OutputRows();
  if (b.width != a.width || b.rows == 0 || a.rows % b.rows != 0)
    lowering.Reject(fmt::format("cannot repeat {} over {}",
                                lowering.InputValue(1).shape.ToString(),
                                lowering.InputValue(0).shape.ToString()));
  const float* packed = nullptr;
  if (lowering.InputValue(1).kind == ir::ValueKind::kWeight) {
    packed = lowering.Plain(1);
    b.type = DType::kF32;
  }
  StepInfo info;
  const KernelRow& row = lowering.Choose(
      ir::Op::kAdd,
      {.x = a.type, .w = b.type, .y = y.type, .m = a.rows, .n = a.width}, info);
  const bool constant = lowering.InputValue(1).kind == ir::ValueKind::kWeight;
  const AddArgs args{.m = a.rows,
                     .n = a.width,
                     .a = a.In(),
                     .b = b.In(),
                     .b_rows = b.rows,
                     .y = y.Out()};
  return MakeStep(lowering, row, std::move(info), args,
                  [a_id = a.id, b_id = b.id, y = y.id, packed, constant](
                      AddArgs& args_now, const Frame& frame) {
                    args_now.a.data = frame.values[a_id];
                    args_now.b.data = constant ? packed : frame.values[b_id];
                    args_now.y.data = frame.values[y];
                  });
}

std::unique_ptr<Step> LowerTranspose(const Lowering& lowering) {
  const ir::Value& x = lowering.InputValue(0);
  const RowsOf rows = lowering.InputRows(0);
  if (rows.stride != rows.width) lowering.Reject("wants a dense input");
  StepInfo info;
  const KernelRow& row = lowering.Choose(
      ir::Op::kTranspose,
      {.x = x.dtype, .y = lowering.OutputValue().dtype, .m = rows.rows}, info);
  const TransposeArgs args{.batch = x.shape[0],
                           .rows = x.shape[1],
                           .cols = x.shape[2],
                           .type = x.dtype};
  return MakeStep(lowering, row, std::move(info), args,
                  [x_id = rows.id, y = lowering.node().output](
                      TransposeArgs& a, const Frame& frame) {
                    a.x = frame.values[x_id];
                    a.y = frame.values[y];
                  });
}

std::unique_ptr<Step> LowerEmbed(const Lowering& lowering) {
  const ir::Value& table = lowering.InputValue(1);
  const Shape& ids = lowering.InputValue(0).shape;
  const RowsOf y = lowering.OutputRows();
  StepInfo info;
  const KernelRow& row = lowering.Choose(
      ir::Op::kEmbed, {.w = table.dtype, .y = y.type, .m = y.rows}, info);
  const EmbedArgs args{.batch = ids[0],
                       .tokens = ids[1],
                       .width = y.width,
                       .vocab = table.shape[0],
                       .max_positions = lowering.InputValue(2).shape[0],
                       .table = lowering.Matrix(1, table.dtype, 1),
                       .table_type = table.dtype,
                       .positions = lowering.Plain(2),
                       .y = y.Out()};
  return MakeStep(lowering, row, std::move(info), args,
                  [ids_id = lowering.Input(0), pos = lowering.Input(3),
                   y = y.id](EmbedArgs& a, const Frame& frame) {
                    a.ids = frame.At<const int32_t>(ids_id);
                    a.pos = frame.At<const int32_t>(pos);
                    a.y.data = frame.values[y];
                  });
}

std::unique_ptr<Step> LowerSelectRows(const Lowering& lowering) {
  const RowsOf x = lowering.InputRows(0);
  const RowsOf y = lowering.OutputRows();
  const Shape& shape = lowering.InputValue(0).shape;
  StepInfo info;
  const KernelRow& row = lowering.Choose(
      ir::Op::kSelectRows, {.x = x.type, .y = y.type, .m = y.rows}, info);
  const SelectRowsArgs args{.batch = shape[0],
                            .tokens = shape[1],
                            .count = lowering.InputValue(1).shape[1],
                            .width = x.width,
                            .x = x.In(),
                            .y = y.Out()};
  return MakeStep(lowering, row, std::move(info), args,
                  [x = x.id, rows = lowering.Input(1), y = y.id](
                      SelectRowsArgs& a, const Frame& frame) {
                    a.x.data = frame.values[x];
                    a.rows = frame.At<const int32_t>(rows);
                    a.y.data = frame.values[y];
                  });
}

}  // namespace sotto::cpu
