// SPDX-License-Identifier: MIT
// The table of kernels and the choice among them. Pure: the same question has
// the same answer on every machine, whatever that machine is.
#pragma once

#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <variant>

#include "base/cpu.h"
#include "cpu/kernel.h"

namespace sotto::cpu {

using TypeSet = uint32_t;
constexpr TypeSet Types(DType type) {
  return TypeSet{1} << static_cast<unsigned>(type);
}
inline constexpr TypeSet kF32Only = Types(DType::kF32);
inline constexpr TypeSet kBF16Only = Types(DType::kBF16);
inline constexpr TypeSet kF32OrBF16 = kF32Only | kBF16Only;
inline constexpr TypeSet kAnyFloat = kF32OrBF16 | Types(DType::kF16);

// What a kernel needs of the processor.
enum class Needs : uint8_t {
  kNothing,
  kVectors,  // AVX2 with FMA and F16C, or NEON
  kAvx512,
  kAvx512Bf16,
  kAmxBf16,
};

// What a kernel may depend on. Ops use the fields that mean something to
// them; `x` is the first input, `w` the packed operand (weight, table, state,
// second summand), `m` the number of rows of a Linear.
struct KernelShape {
  DType x = DType::kF32;
  DType w = DType::kF32;
  DType y = DType::kF32;
  int64_t m = 1, n = 0, k = 0;
  int64_t head_dim = 0;
};

using KernelFn =
    std::variant<KernelOf<LinearArgs>, KernelOf<Conv1dArgs>,
                 KernelOf<AttentionArgs>, KernelOf<CachedAttentionArgs>,
                 KernelOf<LayerNormArgs>, KernelOf<MapArgs>, KernelOf<AddArgs>,
                 KernelOf<TransposeArgs>, KernelOf<EmbedArgs>,
                 KernelOf<SelectRowsArgs>, KernelOf<KvWriteArgs>>;
using ScratchFn = std::variant<
    ScratchOf<LinearArgs>, ScratchOf<Conv1dArgs>, ScratchOf<AttentionArgs>,
    ScratchOf<CachedAttentionArgs>, ScratchOf<LayerNormArgs>,
    ScratchOf<MapArgs>, ScratchOf<AddArgs>, ScratchOf<TransposeArgs>,
    ScratchOf<EmbedArgs>, ScratchOf<SelectRowsArgs>, ScratchOf<KvWriteArgs>>;

// One row of kernels.def.
struct KernelRow {
  ir::Op op;
  std::string_view name;
  // The function for a machine with these features (Highway kernels have one
  // per instruction set).
  KernelFn (*resolve)(const CpuFeatures&);
  ScratchFn scratch;
  Needs needs = Needs::kNothing;
  TypeSet x = kF32OrBF16;
  TypeSet w = kF32Only;
  TypeSet y = kF32OrBF16;
  int64_t m_min = 1;
  int64_t m_max = std::numeric_limits<int64_t>::max();
  int64_t head_dim_multiple = 1;
  int64_t head_dim_max = std::numeric_limits<int64_t>::max();
  Order order = Order::kChain;

  bool is_reference() const { return order == Order::kDouble; }
  template <typename Args>
  KernelOf<Args> Function(const CpuFeatures& features) const {
    return std::get<KernelOf<Args>>(resolve(features));
  }
  template <typename Args>
  size_t Scratch(const Args& args, int threads) const {
    return std::get<ScratchOf<Args>>(scratch)(args, threads);
  }
};

// All rows, in the order of kernels.def.
std::span<const KernelRow> KernelRows();
bool Has(const CpuFeatures& features, Needs needs);
// Why the row cannot do this, in words ("needs avx512_bf16"); empty where it
// can.
std::string WhyNot(const KernelRow& row, const KernelShape& shape,
                   const CpuFeatures& features, bool allow_ref);
// The first row of `op` that accepts; nullptr where none does. `why`, where
// given, gets one reason for each row that refused before:
// "amx_bf16 needs m >= 16; row_bf16 needs bf16 x".
const KernelRow* Select(ir::Op op, const KernelShape& shape,
                        const CpuFeatures& features, bool allow_ref,
                        std::string* why = nullptr);

// "linear".
std::string_view OpText(ir::Op op);
std::string_view OrderName(Order order);
// All rows as a table in Markdown, for docs/kernels.md.
std::string KernelTable();

}  // namespace sotto::cpu
