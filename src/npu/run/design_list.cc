// SPDX-License-Identifier: MIT
#include "npu/run/design_list.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <random>

#include "base/did_you_mean.h"
#include "base/error.h"
#include "npu/design/designs.h"
#include "npu/design/gemm.h"
#include "npu/design/single.h"
#include "npu/encoder/array_design.h"
#include "npu/encoder/array_pack.h"
#include "npu/kernels/kernel.h"

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

// Whisper base without a model: the weights' buffer holds what tells the cores
// what to do, and zeros. `layer`: the first layer alone.
Design Encoder(EncoderPrecision precision, bool layer) {
  const EncoderShape shape{.layers = layer ? 1 : 6};
  const ArrayLayout layout = MakeArrayLayout(shape, precision);
  const auto at = [&layout](Phase::What what) {
    const auto found = std::find_if(layout.phases.begin(), layout.phases.end(),
                                    [what](auto& p) { return p.what == what; });
    return static_cast<size_t>(found - layout.phases.begin());
  };
  Design design = layer ? MakeEncoderDesign(layout, at(Phase::What::kNorm1),
                                            at(Phase::What::kFc2))
                        : MakeEncoderDesign(layout);
  const sotto::Buffer headers = PackArrayHeaders(layout);
  const auto* bytes = reinterpret_cast<const uint8_t*>(headers.data());
  for (HostBufferDesign& buffer : design.host_buffers)
    if (buffer.name == NameOf(ArrayBuffer::kWeights))
      buffer.initial.assign(bytes, bytes + headers.size());
  return design;
}

constexpr DesignInfo kDesigns[] = {
#define SOTTO_NPU_DESIGN(name, what, ...) \
  {name, what, [] { return Design(__VA_ARGS__); }},
#include "npu/run/designs.def"
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
  const std::string meant = DidYouMean(name, names);
  Fail(ErrorCode::kNotFound, "no NPU design named {}{}", name,
       meant.empty() ? ", see `sotto npu designs`" : meant);
}

std::vector<std::vector<std::byte>> TrialBuffers(const Design& design,
                                                 uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<std::vector<std::byte>> buffers;
  for (const HostBufferDesign& b : design.host_buffers) {
    auto& bytes = buffers.emplace_back(static_cast<size_t>(b.bytes));
    if (!b.initial.empty())
      std::memcpy(bytes.data(), b.initial.data(), b.initial.size());
    for (size_t i = b.initial.size(); i < bytes.size(); ++i)
      bytes[i] = b.output ? std::byte{0xA5} : static_cast<std::byte>(random());
  }
  return buffers;
}

}  // namespace sotto::npu
