// SPDX-License-Identifier: MIT
// Designs of one core: a shim, a core, a FIFO for each buffer.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "npu/design/design.h"

namespace sotto::npu {

struct SingleTile {
  std::string kernel;
  std::vector<int64_t> in_bytes;
  int64_t out_bytes = 0;
  // Values of the kernel's ints, behind its pointers: `constants` stand in the
  // program; where there are none, `parameters` of them are read from a
  // parameter buffer that the instruction stream fills (with `values`).
  std::vector<int64_t> constants{};
  std::vector<int32_t> parameters{};
  int calls = 1;  // elements that one dispatch sends through
};

// Kernels with the FIFOs "in", "in1", .. and "out". Compat: the published map
// and instruction stream.
Design MakeSingleTile(const std::string& name, const SingleTile& tile,
                      bool compat = false);

}  // namespace sotto::npu
