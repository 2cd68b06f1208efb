// SPDX-License-Identifier: MIT
// Hugging Face's safetensors.
#include "model_input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  sotto::FuzzReader(sotto::ReadSafetensorsFile, data, size);
  return 0;
}
