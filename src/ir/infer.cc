// SPDX-License-Identifier: MIT
// One rule per op. What holds for every graph (ids, names, order) is
// verify.cc's matter.
#include <limits>
#include <string_view>

#include "ir/graph.h"

namespace sotto::ir {
namespace {

// The operands of one node and the ways to complain about them.
class Operands {
 public:
  Operands(const Graph& graph, const Node& node) : graph_(graph), node_(node) {
    const OpInfo& info = Info(node.op);
    const int count = static_cast<int>(node.inputs.size());
    if (count < info.min_inputs || count > info.max_inputs)
      Refuse("has {} operands, want {} to {}", count, info.min_inputs,
             info.max_inputs);
    if (node.attrs.index() != DefaultAttrs(node.op).index())
      Refuse("has the attributes of another op");
  }

  bool Has(int i) const {
    return i < static_cast<int>(node_.inputs.size()) &&
           node_.inputs[static_cast<size_t>(i)] != kNoValue;
  }
  const Value& At(int i, std::string_view role, int rank) const {
    if (!Has(i)) Refuse("operand {} ({}) is left out", i, role);
    const ValueId id = node_.inputs[static_cast<size_t>(i)];
    if (id < 0 || static_cast<size_t>(id) >= graph_.values.size())
      Refuse("operand {} ({}) is no value of the graph", i, role);
    const Value& value = graph_.value(id);
    if (rank > 0 && value.shape.rank() != rank)
      Refuse("{} has rank {}, want {}", role, value.shape.rank(), rank);
    if (value.shape.rank() == 0) Refuse("{} has no dimensions", role);
    return value;
  }
  const Value& Float(int i, std::string_view role, int rank = 0) const {
    const Value& value = At(i, role, rank);
    if (!IsFloat(value.dtype))
      Refuse("{} is {}, want f32, f16 or bf16", role, Name(value.dtype));
    return value;
  }
  // A factor that is known when compiling; a backend may round it further.
  const Value& Matrix(int i, int rank) const {
    const Value& value = At(i, "weight", rank);
    if (!IsFloat(value.dtype) && value.dtype != DType::kI8)
      Refuse("weight is {}, want f32, f16, bf16 or i8", Name(value.dtype));
    return value;
  }
  // i32[count]: positions and slots.
  void Index(int i, std::string_view role, int64_t count) const {
    const Value& value = At(i, role, 1);
    if (value.dtype != DType::kI32)
      Refuse("{} is {}, want i32", role, Name(value.dtype));
    Want(value.shape[0], count, role);
  }
  void Want(int64_t value, int64_t want, std::string_view what) const {
    if (value != want) Refuse("{} is {}, want {}", what, value, want);
  }
  template <typename... Args>
  [[noreturn]] void Refuse(fmt::format_string<Args...> format,
                           Args&&... args) const {
    Fail(ErrorCode::kInternal, "{}: {}", Describe(graph_, node_),
         fmt::format(format, std::forward<Args>(args)...));
  }
  template <typename T>
  const T& As() const {
    return std::get<T>(node_.attrs);
  }
  DType Out(DType type) const {
    if (!IsFloat(type)) Refuse("out is {}, want f32, f16 or bf16", Name(type));
    return type;
  }
  // Positive and finite: an attention scale or an epsilon.
  void Positive(float value, std::string_view what) const {
    if (!(value > 0 && value <= std::numeric_limits<float>::max()))
      Refuse("{} is {}, want a positive number", what, value);
  }

 private:
  const Graph& graph_;
  const Node& node_;
};

// Whether `part` equals the last dimensions of `whole`.
bool IsTail(const Shape& part, const Shape& whole) {
  if (part.rank() > whole.rank()) return false;
  for (int i = 1; i <= part.rank(); ++i)
    if (part[-i] != whole[-i]) return false;
  return true;
}

Inferred InferTranspose(const Operands& in) {
  const Value& x = in.Float(0, "x", 3);
  return {x.dtype, {x.shape[0], x.shape[2], x.shape[1]}};
}

Inferred InferConv1d(const Operands& in) {
  const auto& attrs = in.As<ConvAttrs>();
  const Value& x = in.Float(0, "x", 3);
  const Value& w = in.Matrix(1, 3);
  const Value& b = in.Float(2, "bias", 1);
  if (attrs.stride < 1 || attrs.stride > 64)
    in.Refuse("stride is {}, want 1 to 64", attrs.stride);
  in.Want(w.shape[2], 3, "the kernel's width");
  in.Want(x.shape[2], w.shape[1], "x's channels");
  in.Want(b.shape[0], w.shape[0], "the bias's size");
  const Shape out = {x.shape[0], (x.shape[1] - 1) / attrs.stride + 1,
                     w.shape[0]};
  if (in.Has(3)) {
    const Value& residual = in.Float(3, "residual");
    if (residual.shape.rank() < 2 || !IsTail(residual.shape, out))
      in.Refuse("residual is {}, want {} or its last two dimensions",
                residual.shape.ToString(), out.ToString());
  }
  return {in.Out(attrs.out), out};
}

Inferred InferLayerNorm(const Operands& in) {
  const auto& attrs = in.As<NormAttrs>();
  const Value& x = in.Float(0, "x");
  in.Want(in.Float(1, "weight", 1).shape[0], x.shape[-1], "the weight's size");
  in.Want(in.Float(2, "bias", 1).shape[0], x.shape[-1], "the bias's size");
  in.Positive(attrs.epsilon, "epsilon");
  return {in.Out(attrs.out), x.shape};
}

Inferred InferLinear(const Operands& in) {
  const Value& x = in.Float(0, "x");
  const Value& w = in.Matrix(1, 2);
  in.Want(x.shape[-1], w.shape[1], "x's last dimension");
  Shape out = x.shape;
  out[-1] = w.shape[0];
  if (in.Has(2))
    in.Want(in.Float(2, "bias", 1).shape[0], w.shape[0], "the bias's size");
  if (in.Has(3)) {
    const Value& residual = in.Float(3, "residual");
    if (residual.shape != out)
      in.Refuse("residual is {}, want {}", residual.shape.ToString(),
                out.ToString());
  }
  return {in.Out(in.As<LinearAttrs>().out), out};
}

Inferred InferAdd(const Operands& in) {
  const Value& a = in.Float(0, "a");
  const Value& b = in.Float(1, "b");
  if (!IsTail(b.shape, a.shape))
    in.Refuse("b is {}, want {} or its last dimensions", b.shape.ToString(),
              a.shape.ToString());
  return {in.Out(in.As<CastAttrs>().out), a.shape};
}

Inferred InferSlice(const Operands& in) {
  const auto& attrs = in.As<SliceAttrs>();
  const Value& x = in.At(0, "x", 0);
  if (attrs.begin < 0 || attrs.end <= attrs.begin || attrs.end > x.shape[-1])
    in.Refuse("[{}, {}) is no part of [0, {})", attrs.begin, attrs.end,
              x.shape[-1]);
  Shape out = x.shape;
  out[-1] = attrs.end - attrs.begin;
  return {x.dtype, out};
}

Inferred InferReshape(const Operands& in) {
  const auto& attrs = in.As<ReshapeAttrs>();
  const Value& x = in.At(0, "x", 0);
  for (int i = 0; i < attrs.shape.rank(); ++i)
    if (attrs.shape[i] < 1 || attrs.shape[i] > x.shape.Elements())
      in.Refuse("cannot become {}", attrs.shape.ToString());
  // note: no overflow, each factor was bounded above and the product is
  // stopped as soon as it is too large.
  int64_t elements = 1;
  for (int i = 0; i < attrs.shape.rank() && elements <= x.shape.Elements(); ++i)
    elements *= attrs.shape[i];
  if (attrs.shape.rank() == 0 || elements != x.shape.Elements())
    in.Refuse("cannot become {}", attrs.shape.ToString());
  return {x.dtype, attrs.shape};
}

Inferred InferAttention(const Operands& in) {
  const auto& attrs = in.As<AttentionAttrs>();
  const Value& q = in.Float(0, "q", 3);
  for (int i = 1; i < 3; ++i) {
    const Value& other = in.Float(i, i == 1 ? "k" : "v", 3);
    if (other.shape != q.shape)
      in.Refuse("{} is {}, want {}", i == 1 ? "k" : "v", other.shape.ToString(),
                q.shape.ToString());
  }
  if (attrs.heads < 1 || q.shape[2] % attrs.heads != 0)
    in.Refuse("{} heads do not divide {}", attrs.heads, q.shape[2]);
  if (attrs.q_chunk < 0)
    in.Refuse("q_chunk is {}, want 0 or more", attrs.q_chunk);
  in.Positive(attrs.scale, "scale");
  return {in.Out(attrs.out), q.shape};
}

Inferred InferKvWrite(const Operands& in) {
  const Value& state = in.Float(0, "state", 4);
  const Value& rows = in.Float(1, "rows", 3);
  in.Want(rows.shape[2], state.shape[1] * state.shape[3], "the rows' width");
  if (rows.shape[1] > state.shape[2])
    in.Refuse("{} rows do not fit into {} positions", rows.shape[1],
              state.shape[2]);
  in.Index(2, "pos", rows.shape[0]);
  in.Index(3, "slot", rows.shape[0]);
  return {state.dtype, state.shape};
}

Inferred InferCachedAttention(const Operands& in) {
  const auto& attrs = in.As<CachedAttentionAttrs>();
  const Value& q = in.Float(0, "q", 3);
  const Value& k = in.Float(1, "k", 4);
  const Value& v = in.Float(2, "v", 4);
  if (k.shape != v.shape)
    in.Refuse("v is {}, want {}", v.shape.ToString(), k.shape.ToString());
  in.Want(q.shape[2], k.shape[1] * k.shape[3], "q's width");
  in.Index(3, "pos", q.shape[0]);
  in.Index(4, "slot", q.shape[0]);
  if (attrs.extent < 1 || attrs.extent > k.shape[2])
    in.Refuse("extent is {}, want 1 to {}", attrs.extent, k.shape[2]);
  if (attrs.q_chunk < 0)
    in.Refuse("q_chunk is {}, want 0 or more", attrs.q_chunk);
  in.Positive(attrs.scale, "scale");
  return {in.Out(attrs.out), q.shape};
}

Inferred InferEmbed(const Operands& in) {
  const Value& tokens = in.At(0, "tokens", 2);
  if (tokens.dtype != DType::kI32)
    in.Refuse("tokens are {}, want i32", Name(tokens.dtype));
  const Value& table = in.Float(1, "table", 2);
  const Value& positions = in.Float(2, "positions", 2);
  in.Want(positions.shape[1], table.shape[1], "the positions' width");
  in.Index(3, "pos", tokens.shape[0]);
  return {in.Out(in.As<CastAttrs>().out),
          {tokens.shape[0], tokens.shape[1], table.shape[1]}};
}

Inferred InferSelectRows(const Operands& in) {
  const Value& x = in.Float(0, "x", 3);
  const Value& rows = in.At(1, "rows", 2);
  if (rows.dtype != DType::kI32)
    in.Refuse("rows are {}, want i32", Name(rows.dtype));
  in.Want(rows.shape[0], x.shape[0], "the rows' batch");
  return {x.dtype, {x.shape[0], rows.shape[1], x.shape[2]}};
}

}  // namespace

Inferred Infer(const Graph& graph, const Node& node) {
  const Operands in(graph, node);
  switch (node.op) {
    case Op::kTranspose:
      return InferTranspose(in);
    case Op::kConv1d:
      return InferConv1d(in);
    case Op::kLayerNorm:
      return InferLayerNorm(in);
    case Op::kLinear:
      return InferLinear(in);
    case Op::kGelu:
    case Op::kCast:
      return {in.Out(in.As<CastAttrs>().out), in.Float(0, "x").shape};
    case Op::kAdd:
      return InferAdd(in);
    case Op::kSlice:
      return InferSlice(in);
    case Op::kReshape:
      return InferReshape(in);
    case Op::kAttention:
      return InferAttention(in);
    case Op::kKvWrite:
      return InferKvWrite(in);
    case Op::kCachedAttention:
      return InferCachedAttention(in);
    case Op::kEmbed:
      return InferEmbed(in);
    case Op::kSelectRows:
      return InferSelectRows(in);
  }
  in.Refuse("is no op");
}

}  // namespace sotto::ir
