// SPDX-License-Identifier: MIT
// CTranslate2's model.bin.
#include "model_input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  sotto::FuzzReader(sotto::ReadCt2, data, size);
  return 0;
}
