// SPDX-License-Identifier: MIT
// Reads from an xclbin what is needed to load an NPU's program without XRT: the
// array's configuration (PDI) of one kernel and how many columns it takes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sotto::npu {

struct XclbinKernel {
  std::string name;  // "MLIR_AIE:MLIRAIE"
  uint32_t id = 0;
  uint8_t function = 0;
};

struct NpuProgram {
  XclbinKernel kernel;
  int columns = 0;
  uint32_t ops_per_cycle = 0;
  std::vector<std::byte> pdi;
};

// The first kernel for the NPU whose name begins with `prefix`, and its
// configuration. Layout: XRT's xclbin.h (axlf, ip_layout, aie_partition). The
// file is not trusted. Throws kBadInput naming `name` (the file) and what is
// wrong; a missing kernel names those that are there.
NpuProgram ReadXclbin(std::span<const std::byte> file, std::string_view name,
                      std::string_view prefix = "MLIR_AIE");

}  // namespace sotto::npu
