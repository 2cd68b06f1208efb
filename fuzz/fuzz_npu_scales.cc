// SPDX-License-Identifier: MIT
// The scales of a model for the NPU, a text file beside its weights. What is
// accepted is written and read back the same.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/error.h"
#include "npu/encoder/calibration.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using sotto::npu::Calibration;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    const Calibration read = Calibration::Parse(text, "input");
    const Calibration again = Calibration::Parse(read.ToText(), "again");
    if (again.ToText() != read.ToText()) std::abort();
    read.Check({.width = 64, .heads = 1, .ffn = 64, .layers = 1});
  } catch (const sotto::Error& error) {
    if (error.code() == sotto::ErrorCode::kInternal) std::abort();
  }
  return 0;
}
