// SPDX-License-Identifier: MIT
// A planned design as MLIR text of mlir-aie's dialects (aie, aiex): tiles,
// buffers and locks with the plan's addresses, DMA chains, flows, core
// programs, the runtime sequence. aiecc compiles it; routes are left to it.
#pragma once

#include <string>

#include "npu/design/planner.h"

namespace sotto::npu {

enum class MlirForm : uint8_t {
  // As people write it, and as mlir-aie's tools read it.
  kCustom,
  // Every operation of the aie dialects spelt out, so that a plain mlir-opt
  // with --allow-unregistered-dialect can check the text.
  kGeneric,
};

// `archive` is linked with every core.
std::string EmitMlir(const Plan& plan, MlirForm form,
                     const std::string& archive = "kernels.a");

}  // namespace sotto::npu
