// SPDX-License-Identifier: MIT
// An xclbin: the file that a user says holds an NPU's program.
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/error.h"
#include "npu/host/xclbin.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    sotto::npu::ReadXclbin(std::as_bytes(std::span(data, size)), "fuzz");
  } catch (const sotto::Error&) {
  }
  return 0;
}
