// SPDX-License-Identifier: MIT
#include "cpu/cpu_backend.h"

#include "cpu/lower.h"

namespace sotto {
namespace cpu {
namespace {

std::unique_ptr<Step> LowerNode(const Lowering& lowering) {
  switch (lowering.node().op) {
    case ir::Op::kTranspose:
      return LowerTranspose(lowering);
    case ir::Op::kConv1d:
      return LowerConv1d(lowering);
    case ir::Op::kLayerNorm:
      return LowerLayerNorm(lowering);
    case ir::Op::kLinear:
      return LowerLinear(lowering);
    case ir::Op::kGelu:
    case ir::Op::kCast:
      return LowerMap(lowering);
    case ir::Op::kAdd:
      return LowerAdd(lowering);
    case ir::Op::kAttention:
      return LowerAttention(lowering);
    case ir::Op::kKvWrite:
      return LowerKvWrite(lowering);
    case ir::Op::kCachedAttention:
      return LowerCachedAttention(lowering);
    case ir::Op::kEmbed:
      return LowerEmbed(lowering);
    case ir::Op::kSelectRows:
      return LowerSelectRows(lowering);
    case ir::Op::kSlice:
    case ir::Op::kReshape:
      return nullptr;  // views
  }
  return nullptr;
}

class CpuBackend final : public Backend {
 public:
  explicit CpuBackend(const CpuOptions& options)
      : options_(options), packed_(options.pool) {
    if (!Has(options_.features, Needs::kVectors)) options_.allow_ref = true;
  }

  std::string_view name() const override { return "cpu"; }

  // Lowering without weights asks the same questions and throws the answer.
  std::string Refuse(const ir::Graph& graph, ir::NodeId node) const override {
    try {
      LowerNode({options_, graph, node});
    } catch (const Error& error) {
      if (error.code() != ErrorCode::kUnsupported) throw;
      return error.what();
    }
    return "";
  }

  size_t StateBytes(const ir::Value& state) const override {
    const Shape& s = state.shape;
    return BytesOf(state.dtype,
                   static_cast<size_t>(s[0] * s[1] * KvPositions(s[2]) * s[3]));
  }

  std::vector<std::unique_ptr<Step>> Lower(
      const ir::Graph& graph, std::span<const ir::NodeId> nodes,
      const WeightReader& weights) override {
    std::vector<std::unique_ptr<Step>> steps;
    for (const ir::NodeId node : nodes) {
      std::unique_ptr<Step> step =
          LowerNode({options_, graph, node, &packed_, &weights});
      if (step != nullptr) steps.push_back(std::move(step));
    }
    return steps;
  }

  size_t packed_bytes() const override { return packed_.packed_bytes(); }
  size_t weight_bytes_copied() const override { return packed_.bytes_copied(); }

 private:
  CpuOptions options_;
  PackedWeights packed_;
};

}  // namespace

RowsOf ResolveRows(const ir::Graph& graph, ir::ValueId id) {
  const ir::Value& value = graph.value(id);
  const int64_t width = value.shape[-1];
  RowsOf rows{.id = id,
              .type = value.dtype,
              .rows = width == 0 ? 0 : value.shape.Elements() / width,
              .width = width,
              .stride = width};
  if (value.kind != ir::ValueKind::kTemp || value.producer < 0) return rows;
  const ir::Node& node = graph.node(value.producer);
  if (node.op == ir::Op::kSlice) {
    rows.stride = ResolveRows(graph, node.inputs[0]).stride;
  } else if (node.op == ir::Op::kReshape) {
    const RowsOf from = ResolveRows(graph, node.inputs[0]);
    if (from.stride != from.width && from.rows > 1)
      Fail(ErrorCode::kUnsupported,
           "cpu: reshape of {}: rows of {} stand {} apart, want a dense value",
           graph.value(node.inputs[0]).name, from.width, from.stride);
  }
  return rows;
}

ir::ValueId Lowering::Input(size_t i) const {
  return i < node().inputs.size() ? node().inputs[i] : ir::kNoValue;
}

void Lowering::Reject(const std::string& what) const {
  Fail(ErrorCode::kUnsupported, "cpu: {} %{}: {}", OpText(node().op),
       OutputValue().name, what);
}

const KernelRow& Lowering::Choose(ir::Op op, const KernelShape& shape,
                                  StepInfo& info) const {
  std::string why;
  const KernelRow* row =
      Select(op, shape, options.features, options.allow_ref, &why);
  if (row == nullptr)
    Fail(ErrorCode::kUnsupported,
         "cpu: no kernel for {}({}, {}) -> {} m={} n={} k={} head_dim={}: {}",
         OpText(op), Name(shape.x), Name(shape.w), Name(shape.y), shape.m,
         shape.n, shape.k, shape.head_dim, why);
  info.nodes = {id};
  info.op = OpText(node().op);
  info.kernel = row->name;
  info.refused = why;
  return *row;
}

const float* Lowering::Plain(size_t i) const {
  const ir::Value& value = InputValue(i);
  if (value.kind != ir::ValueKind::kWeight)
    Reject(fmt::format("wants a weight as input {}, not %{}", i, value.name));
  if (weights == nullptr) return nullptr;
  return packed->Plain(value.parts, value.shape.Elements() / value.shape[0],
                       *weights);
}

const std::byte* Lowering::Matrix(size_t i, DType type, int64_t taps) const {
  const ir::Value& value = InputValue(i);
  if (value.kind != ir::ValueKind::kWeight)
    Reject(fmt::format("wants a weight as input {}, not %{}", i, value.name));
  if (weights == nullptr) return nullptr;
  const int64_t n = value.shape[0];
  return packed->Matrix({value.parts, n, value.shape.Elements() / n, taps},
                        type, *weights);
}

}  // namespace cpu

std::unique_ptr<Backend> MakeCpuBackend(const CpuOptions& options) {
  SOTTO_CHECK(options.pool != nullptr);
  return std::make_unique<cpu::CpuBackend>(options);
}

}  // namespace sotto
