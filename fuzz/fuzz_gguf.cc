// SPDX-License-Identifier: MIT
// GGUF.
#include "model_input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  sotto::FuzzReader(sotto::ReadGguf, data, size);
  return 0;
}
