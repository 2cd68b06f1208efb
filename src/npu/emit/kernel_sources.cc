// SPDX-License-Identifier: MIT
#include "npu/emit/kernel_sources.h"

namespace sotto::npu {
namespace {

constexpr KernelSource kSources[] = {
#include "kernel_sources.inc"
};

}  // namespace

std::span<const KernelSource> KernelSources() { return kSources; }

}  // namespace sotto::npu
