// SPDX-License-Identifier: MIT
#include "extension/executorch/kept_memory.h"
#include "extension/executorch/kernels.h"
#include "extension/executorch/register.h"
#include "extension/executorch/sotto_executorch.h"

extern "C" {

void sotto_executorch_counters(sotto_executorch_counts* counts) {
  if (counts != nullptr) *counts = sotto::pte::ReadCounts();
}

void sotto_executorch_reset_counters(void) { sotto::pte::ResetCounts(); }

const char* sotto_executorch_status(void) {
  return sotto::pte::RegistrationStatus();
}

const char* sotto_executorch_built_with(void) {
  return SOTTO_EXECUTORCH_VERSION;
}

int sotto_executorch_keep_memory(const void* begin, size_t bytes) {
  return sotto::pte::KeepMemory(begin, bytes) ? 0 : -1;
}

void sotto_executorch_forget_memory(void) { sotto::pte::ForgetMemory(); }

}  // extern "C"
