// SPDX-License-Identifier: MIT
// The DMAs that a tile starts by itself, in MLIR. Not for use outside emit/.
#pragma once

#include "npu/array_config.h"
#include "npu/emit/mlir_text.h"

namespace sotto::npu {

// Of a core's memory or a mem tile: its channels and their chains.
void EmitDma(TileId id, const TileConfig& tile, MlirText* text);

}  // namespace sotto::npu
