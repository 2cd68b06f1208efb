// SPDX-License-Identifier: MIT
#include "npu/design/designs.h"

#include <fmt/format.h>

#include "base/did_you_mean.h"
#include "base/error.h"
#include "npu/design/encoder.h"
#include "npu/design/gemm.h"
#include "npu/design/single.h"

namespace sotto::npu {
namespace {

constexpr std::string_view kSingle = "single/";

const KernelInfo& KernelNamed(std::string_view name) {
  const KernelInfo* kernel = FindKernel(name);
  if (kernel == nullptr) {
    Fail(ErrorCode::kNotFound, "no NPU kernel named {}", name);
  }
  return *kernel;
}

Design Kernel(std::string_view name, const KernelDesign& options) {
  return MakeKernelDesign(KernelNamed(name), options);
}

Design PublishedAttention() {
  return MakeSingleTile("attention-64-published",
                        {.kernel = "attention_64x64_v0",
                         .in_bytes = {12288},
                         .out_bytes = 4096,
                         .constants = {4}},
                        /*compat=*/true);
}

// The published encoder_layer_simple: its kernels, its three tiles.
Design Chain(int calls, bool shared) {
  const ChainLink links[] = {
      {"layer_norm_bf16_1024"}, {"softmax_bf16_1024"}, {"gelu_bf16_1024"}};
  return MakeChain("chain", links, 2048, calls, shared);
}

constexpr DesignInfo kDesigns[] = {
#define SOTTO_NPU_DESIGN(name, what, ...) \
  {name, what, [] { return Design(__VA_ARGS__); }},
#include "npu/design/designs.def"
#undef SOTTO_NPU_DESIGN
};

}  // namespace

std::span<const DesignInfo> Designs() { return kDesigns; }

Design MakeDesign(std::string_view name) {
  if (name.starts_with(kSingle)) {
    return Kernel(name.substr(kSingle.size()), {});
  }
  std::vector<std::string_view> names;
  for (const DesignInfo& info : kDesigns) {
    if (info.name != name) {
      names.push_back(info.name);
      continue;
    }
    Design design = info.make();
    design.name = name;
    design.what = info.what;
    return design;
  }
  Fail(ErrorCode::kNotFound, "no NPU design named {}{}", name,
       DidYouMean(name, names));
}

}  // namespace sotto::npu
