// SPDX-License-Identifier: MIT
#include "cpu/select.h"

#include <array>
#include <vector>

#include "cpu/ref/ref.h"
#include "cpu/simd/simd.h"
#if defined(__x86_64__)
#include "cpu/x86/x86.h"
#endif

namespace sotto::cpu {
namespace {

template <typename Args>
size_t NoScratch(const Args& /*args*/, int /*threads*/) {
  return 0;
}

std::string TypeNames(TypeSet set, std::string_view between) {
  std::string text;
  for (const DType type : {DType::kF32, DType::kF16, DType::kBF16}) {
    if ((set & Types(type)) == 0) continue;
    if (!text.empty()) text += between;
    text += Name(type);
  }
  return text;
}

constexpr std::string_view kOpText[] = {
#define SOTTO_OP(name, text, min_inputs, max_inputs, attrs) text,
#include "ir/ops.def"
#undef SOTTO_OP
};

std::string_view NeedName(Needs needs) {
  switch (needs) {
    case Needs::kNothing:
      return "nothing";
    case Needs::kVectors:
      return "avx2 or neon";
    case Needs::kAvx512:
      return "avx512";
    case Needs::kAvx512Bf16:
      return "avx512_bf16";
    case Needs::kAmxBf16:
      return "amx_bf16";
  }
  return "?";
}

}  // namespace

std::string_view OpText(ir::Op op) { return kOpText[static_cast<size_t>(op)]; }

std::span<const KernelRow> KernelRows() {
#define SOTTO_KERNEL(op_, name_, function, scratch_, ...)   \
  {.op = ir::Op::k##op_,                                    \
   .name = #name_,                                          \
   .resolve = [](const CpuFeatures&) -> KernelFn {          \
     return static_cast<KernelOf<op_##Args>>(&function);    \
   },                                                       \
   .scratch = static_cast<ScratchOf<op_##Args>>(&scratch_), \
   __VA_ARGS__},
#define SOTTO_SIMD_KERNEL(op_, name_, resolver, scratch_, ...) \
  {.op = ir::Op::k##op_,                                       \
   .name = #name_,                                             \
   .resolve = [](const CpuFeatures& features) -> KernelFn {    \
     return resolver(features);                                \
   },                                                          \
   .scratch = static_cast<ScratchOf<op_##Args>>(&scratch_),    \
   __VA_ARGS__},
  static const KernelRow rows[] = {
#include "cpu/kernels.def"
  };
  return rows;
}

bool Has(const CpuFeatures& features, Needs needs) {
  switch (needs) {
    case Needs::kNothing:
      return true;
    case Needs::kVectors:
      return features.avx2 || features.neon;
    case Needs::kAvx512:
      return features.avx512;
    case Needs::kAvx512Bf16:
      return features.avx512_bf16;
    case Needs::kAmxBf16:
      return features.amx_bf16;
  }
  return false;
}

std::string WhyNot(const KernelRow& row, const KernelShape& shape,
                   const CpuFeatures& features, bool allow_ref) {
  if (row.is_reference() && !allow_ref) return "ref is off in this profile";
  if (!Has(features, row.needs))
    return fmt::format("{} needs {}", row.name, NeedName(row.needs));
  const auto type = [&](std::string_view operand, TypeSet want, DType have) {
    if ((want & Types(have)) != 0) return std::string();
    return fmt::format("{} needs {} {}, not {}", row.name, TypeNames(want, "|"),
                       operand, Name(have));
  };
  for (const std::string& reason :
       {type("x", row.x, shape.x), type("w", row.w, shape.w),
        type("y", row.y, shape.y)})
    if (!reason.empty()) return reason;
  if (shape.m < row.m_min)
    return fmt::format("{} needs m >= {}", row.name, row.m_min);
  if (shape.m > row.m_max)
    return fmt::format("{} needs m <= {}", row.name, row.m_max);
  if (shape.head_dim % row.head_dim_multiple != 0)
    return fmt::format("{} needs head_dim divisible by {}", row.name,
                       row.head_dim_multiple);
  if (shape.head_dim > row.head_dim_max)
    return fmt::format("{} needs head_dim <= {}", row.name, row.head_dim_max);
  return "";
}

const KernelRow* Select(ir::Op op, const KernelShape& shape,
                        const CpuFeatures& features, bool allow_ref,
                        std::string* why) {
  std::string reasons;
  const KernelRow* chosen = nullptr;
  for (const KernelRow& row : KernelRows()) {
    if (row.op != op) continue;
    const std::string reason = WhyNot(row, shape, features, allow_ref);
    if (reason.empty()) {
      chosen = &row;
      break;
    }
    reasons += (reasons.empty() ? "" : "; ") + reason;
  }
  if (why != nullptr) *why = reasons;
  return chosen;
}

std::string_view OrderName(Order order) {
  switch (order) {
    case Order::kChain:
      return "chain";
    case Order::kPairs:
      return "pairs";
    case Order::kTile:
      return "tile";
    case Order::kDouble:
      return "double";
  }
  return "?";
}

std::string KernelTable() {
  std::string text =
      "| op | kernel | needs | x | w | y | rows | head_dim | order |\n"
      "| --- | --- | --- | --- | --- | --- | --- | --- | --- |\n";
  constexpr int64_t kAny = std::numeric_limits<int64_t>::max();
  for (const KernelRow& row : KernelRows()) {
    const std::string rows =
        row.m_max != kAny ? fmt::format("{} to {}", row.m_min, row.m_max)
        : row.m_min > 1   ? fmt::format("{} and more", row.m_min)
                          : "any";
    const int64_t most = row.head_dim_max, step = row.head_dim_multiple;
    const std::string head_dim = most == kAny   ? "any"
                                 : most == step ? fmt::format("{}", most)
                                 : step > 1
                                     ? fmt::format("{} n <= {}", step, most)
                                     : fmt::format("<= {}", most);
    text += fmt::format("| {} | {} | {} | {} | {} | {} | {} | {} | {} |\n",
                        OpText(row.op), row.name, NeedName(row.needs),
                        TypeNames(row.x, " "), TypeNames(row.w, " "),
                        TypeNames(row.y, " "), rows, head_dim,
                        OrderName(row.order));
  }
  return text;
}

}  // namespace sotto::cpu
