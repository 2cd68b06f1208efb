// SPDX-License-Identifier: MIT
// OpenAI's .pt: ZIP and pickle.
#include "model_input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  sotto::FuzzReader(sotto::ReadOpenAi, data, size);
  return 0;
}
