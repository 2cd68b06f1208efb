// SPDX-License-Identifier: MIT
// whisper.cpp's ggml .bin.
#include "model_input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  sotto::FuzzReader(sotto::ReadGgml, data, size);
  return 0;
}
