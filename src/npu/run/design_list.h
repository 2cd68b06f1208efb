// SPDX-License-Identifier: MIT
// The designs of this project, by name; the list is designs.def. Any kernel
// besides has a design of its own: "single/KERNEL".
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "npu/design/design.h"

namespace sotto::npu {

struct DesignInfo {
  std::string_view name;
  std::string_view what;
  Design (*make)();
};

std::span<const DesignInfo> Designs();
// Throws Error(kNotFound) with the nearest name.
Design MakeDesign(std::string_view name);

// A design's host buffers to try it on: what the design itself wants there, the
// rest of inputs and scratch random, outputs patterned.
std::vector<std::vector<std::byte>> TrialBuffers(const Design& design,
                                                 uint64_t seed);

}  // namespace sotto::npu
