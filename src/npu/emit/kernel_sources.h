// SPDX-License-Identifier: MIT
// The sources that the cores compile, as this program was built with them: a
// package can be made wherever the tools are, and one that was made from other
// sources is known to be stale.
#pragma once

#include <span>
#include <string_view>

namespace sotto::npu {

struct KernelSource {
  std::string_view name;  // as it is included: "npu/kernels/gemm.cc"
  std::string_view text;
  // Not only included by the others.
  bool IsCompiled() const { return name.ends_with(".cc"); }
};

std::span<const KernelSource> KernelSources();

}  // namespace sotto::npu
