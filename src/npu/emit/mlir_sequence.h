// SPDX-License-Identifier: MIT
// The runtime sequence of a plan in MLIR. Not for use outside emit/.
#pragma once

#include "npu/design/planner.h"
#include "npu/emit/mlir_text.h"

namespace sotto::npu {

// Shim allocations and the sequence. One descriptor between a host buffer and
// the array is a dma_memcpy_nd. What that cannot say (chains, tasks of mem
// tiles and cores with their locks and iterations) is written register by
// register, as the plan's instruction stream has it.
void EmitSequence(const Plan& plan, MlirText* text);

}  // namespace sotto::npu
