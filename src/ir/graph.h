// SPDX-License-Identifier: MIT
// Graph: one stage of the model as flat arrays of values and nodes. SSA, ids
// instead of pointers, nodes in running order. It prints and parses
// (ir/text.h), is checked by Verify (ir/verify.h), and says nothing of memory
// or kernels.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "tensor/tensor.h"

namespace sotto::ir {

using ValueId = int32_t;
using NodeId = int32_t;
inline constexpr ValueId kNoValue = -1;

enum class Activation : uint8_t { kNone, kGelu };
enum class KvKind : uint8_t { kKey, kValue };

// `out`: element type of the result. Sums are always f32.
struct NoAttrs {
  friend bool operator==(const NoAttrs&, const NoAttrs&) = default;
};
struct CastAttrs {
  DType out = DType::kF32;
  friend bool operator==(const CastAttrs&, const CastAttrs&) = default;
};
struct ConvAttrs {
  int stride = 1;
  Activation act = Activation::kNone;
  DType out = DType::kF32;
  friend bool operator==(const ConvAttrs&, const ConvAttrs&) = default;
};
struct NormAttrs {
  float epsilon = 1e-5f;
  DType out = DType::kF32;
  friend bool operator==(const NormAttrs&, const NormAttrs&) = default;
};
struct LinearAttrs {
  Activation act = Activation::kNone;
  DType out = DType::kF32;
  friend bool operator==(const LinearAttrs&, const LinearAttrs&) = default;
};
struct SliceAttrs {
  int64_t begin = 0;
  int64_t end = 0;
  friend bool operator==(const SliceAttrs&, const SliceAttrs&) = default;
};
struct ReshapeAttrs {
  Shape shape;
  friend bool operator==(const ReshapeAttrs&, const ReshapeAttrs&) = default;
};
struct AttentionAttrs {
  int heads = 1;
  float scale = 1;
  int q_chunk = 0;  // query rows per task; 0: the kernel's choice
  DType out = DType::kF32;
  friend bool operator==(const AttentionAttrs&,
                         const AttentionAttrs&) = default;
};
struct KvWriteAttrs {
  KvKind kind = KvKind::kKey;  // keys and values are packed differently
  friend bool operator==(const KvWriteAttrs&, const KvWriteAttrs&) = default;
};
struct CachedAttentionAttrs {
  float scale = 1;
  bool causal = true;
  // Most positions that may be seen: the bucket's extent (causal) or the
  // number of encoder positions.
  int64_t extent = 0;
  int q_chunk = 0;  // query rows per pass over K and V; 0: the kernel's choice
  DType out = DType::kF32;
  friend bool operator==(const CachedAttentionAttrs&,
                         const CachedAttentionAttrs&) = default;
};

using Attrs = std::variant<NoAttrs, CastAttrs, ConvAttrs, NormAttrs,
                           LinearAttrs, SliceAttrs, ReshapeAttrs,
                           AttentionAttrs, KvWriteAttrs, CachedAttentionAttrs>;

enum class Op : uint8_t {
#define SOTTO_OP(name, text, min_inputs, max_inputs, attrs) k##name,
#include "ir/ops.def"
#undef SOTTO_OP
};

struct OpInfo {
  std::string_view name;
  int min_inputs;
  int max_inputs;
};
const OpInfo& Info(Op op);
// The op's attribute struct with its default values.
Attrs DefaultAttrs(Op op);
inline constexpr int kOpCount = 0
#define SOTTO_OP(name, text, min_inputs, max_inputs, attrs) +1
#include "ir/ops.def"
#undef SOTTO_OP
    ;

enum class ValueKind : uint8_t {
  kInput,   // given at each run, by name
  kWeight,  // constant, read from the checkpoint by the backend
  kState,   // lives in the Session across runs (the KV cache)
  kTemp,    // made by a node; an output of the graph where it is listed there
};

// A weight is the first `rows` rows of one tensor of the checkpoint, or of
// several, stacked on axis 0 (fused QKV), or zeros where a part has no tensor
// (k has no bias).
struct WeightPart {
  std::string name;  // canonical name (model/weights.h); empty: zeros
  int64_t rows = 0;  // of axis 0
  friend bool operator==(const WeightPart&, const WeightPart&) = default;
};

// How the backend stores a weight; written by the layout pass.
enum class Layout : uint8_t {
  kPlain,  // row-major, as in the checkpoint (biases, norms, positions)
  kPanel,  // matrices in panels of 16 outputs (cpu/pack.h)
};

struct Value {
  ValueKind kind = ValueKind::kTemp;
  DType dtype = DType::kF32;
  Shape shape = {};
  std::string name = {};               // without sigil; unique within the graph
  NodeId producer = -1;                // kTemp
  std::vector<WeightPart> parts = {};  // kWeight
  Layout layout = Layout::kPlain;      // kWeight
};

struct Node {
  Op op = Op::kAdd;
  // kNoValue where an optional one is left out.
  std::vector<ValueId> inputs = {};
  ValueId output = kNoValue;
  Attrs attrs = {};
  std::string backend = {};  // written by the placement pass
};

class Graph {
 public:
  // What the stage is, for reports: "decode batch=1 kv=64".
  std::string title;
  std::vector<Value> values;
  std::vector<Node> nodes;
  std::vector<ValueId> outputs;

  ValueId Input(std::string name, DType dtype, const Shape& shape);
  ValueId Weight(std::string name, DType dtype, const Shape& shape);
  ValueId State(std::string name, DType dtype, const Shape& shape);
  // Appends a node; its output's dtype and shape come from ir/infer.cc, its
  // name from `name` or, where empty, a number. Throws Error(kInternal) with
  // the op and the operands where they do not fit.
  ValueId Add(Op op, std::vector<ValueId> inputs, Attrs attrs = NoAttrs{},
              std::string name = "");
  void Output(ValueId value) { outputs.push_back(value); }

  const Value& value(ValueId id) const {
    return values[static_cast<size_t>(id)];
  }
  const Node& node(NodeId id) const { return nodes[static_cast<size_t>(id)]; }
  // The id of a value by name; kNoValue where there is none.
  ValueId Find(std::string_view name) const;
};

// Element type and shape of a node's output. Throws Error(kInternal) naming
// the op, its operands with their types, and what they should be.
struct Inferred {
  DType dtype = DType::kF32;
  Shape shape;
};
Inferred Infer(const Graph& graph, const Node& node);

// "@enc.0.fc1.w": a value's name with the sigil of its kind (none for inputs,
// @ weights, ! states, % temporaries).
std::string Label(const Value& value);
// "linear(%x f32[1,5,8], @w f32[16,8])", for messages.
std::string Describe(const Graph& graph, const Node& node);

constexpr bool IsFloat(DType type) {
  return type == DType::kF32 || type == DType::kF16 || type == DType::kBF16;
}
// Slice and Reshape: another name for their input's bytes.
constexpr bool IsView(Op op) { return op == Op::kSlice || op == Op::kReshape; }

}  // namespace sotto::ir
