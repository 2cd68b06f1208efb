// SPDX-License-Identifier: MIT
#include <array>
#include <tuple>
#include <type_traits>
#include <utility>

#include "npu/kernels/costs.h"
#include "npu/kernels/device.h"
#include "npu/kernels/gelu_table.h"
#include "npu/kernels/kernel.h"
#include "npu/kernels/plain.h"

namespace sotto::npu {
namespace {

using Kind = KernelArg::Kind;
constexpr KernelArg In(std::string_view type, int64_t elements) {
  return {Kind::kIn, type, elements};
}
constexpr KernelArg Out(std::string_view type, int64_t elements) {
  return {Kind::kOut, type, elements};
}
[[maybe_unused]] constexpr KernelArg InOut(std::string_view type,
                                           int64_t elements) {
  return {Kind::kInOut, type, elements};
}
constexpr KernelArg Int() { return {Kind::kInt, "i32", 0}; }

// Takes the next pointer or the next int, as the function's parameter says.
struct Reader {
  const KernelCall& call;
  size_t pointer = 0;
  size_t integer = 0;
  template <typename T>
  T Next() {
    if constexpr (std::is_pointer_v<T>) {
      return reinterpret_cast<T>(call.pointers[pointer++]);
    } else {
      return call.ints[integer++];
    }
  }
};

template <auto kFunction>
struct Caller;
template <typename... Args, void (*kFunction)(Args...)>
struct Caller<kFunction> {
  static constexpr size_t kArguments = sizeof...(Args);
  static constexpr bool kIsInt[] = {!std::is_pointer_v<Args>...};
  static void Call(const KernelCall& call) {
    Reader reader{call};
    // Braces: left to right.
    std::tuple<Args...> args{reader.Next<Args>()...};
    std::apply(kFunction, args);
  }
};

// The rows' arguments agree with the C functions.
template <auto kFunction, size_t N>
constexpr bool Agrees(const std::array<KernelArg, N>& args) {
  if (N != Caller<kFunction>::kArguments) return false;
  for (size_t i = 0; i < N; ++i) {
    if ((args[i].kind == Kind::kInt) != Caller<kFunction>::kIsInt[i]) {
      return false;
    }
  }
  return true;
}

struct Table {
  std::string_view name;
  int bytes = 0;
};
constexpr Table kNoTable{};
constexpr Table kExpTable{"exp", 128 * 4};
constexpr Table kByteGeluTable{"gelu_i8", 256};
constexpr Table kGeluTable{"gelu", 2 * kPhiEntries};

#define SOTTO_NPU_KERNEL(symbol, frame, code, data, compat, cost, ...)     \
  constexpr auto kArgs_##symbol = std::to_array<KernelArg>({__VA_ARGS__}); \
  static_assert(Agrees<&::symbol>(kArgs_##symbol), #symbol);
#include "npu/kernels/kernels.def"
#undef SOTTO_NPU_KERNEL

const KernelInfo kKernels[] = {
#define SOTTO_NPU_KERNEL(symbol, frame, code, data, is_compat, cost_of, ...) \
  {.name = #symbol,                                                          \
   .args = kArgs_##symbol,                                                   \
   .frame_bytes = frame,                                                     \
   .code_bytes = code,                                                       \
   .table = (data).name,                                                     \
   .data_bytes = (data).bytes,                                               \
   .compat = is_compat,                                                      \
   .call = Caller<&::symbol>::Call,                                          \
   .cost = cost_of},
#include "npu/kernels/kernels.def"
#undef SOTTO_NPU_KERNEL
};

}  // namespace

std::span<const KernelInfo> Kernels() { return kKernels; }

const KernelInfo* FindKernel(std::string_view name) {
  for (const KernelInfo& kernel : kKernels) {
    if (kernel.name == name) return &kernel;
  }
  return nullptr;
}

}  // namespace sotto::npu
