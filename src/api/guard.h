// SPDX-License-Identifier: MIT
// What every function of the C API does: no exception leaves, errors become a
// status and a line.
#pragma once

#include <exception>
#include <new>
#include <string>

#include "base/error.h"
#include "sotto/sotto.h"

namespace sotto::api {

// On this thread's last call.
inline thread_local std::string g_last_error;

inline sotto_status StatusOf(ErrorCode code) {
  switch (code) {
    case ErrorCode::kBadInput:
      return SOTTO_BAD_INPUT;
    case ErrorCode::kNotFound:
      return SOTTO_NOT_FOUND;
    case ErrorCode::kUnsupported:
      return SOTTO_UNSUPPORTED;
    case ErrorCode::kOutOfMemory:
      return SOTTO_OUT_OF_MEMORY;
    case ErrorCode::kDevice:
      return SOTTO_DEVICE;
    case ErrorCode::kCancelled:
      return SOTTO_CANCELLED;
    case ErrorCode::kInternal:
      return SOTTO_INTERNAL;
  }
  return SOTTO_INTERNAL;
}

// The exception firewall: runs `body` and turns whatever it throws into a
// status and a line.
template <typename F>
sotto_status Guard(F&& body) {
  g_last_error.clear();
  try {
    body();
    return SOTTO_OK;
  } catch (const Error& error) {
    g_last_error = error.what();
    return StatusOf(error.code());
  } catch (const std::bad_alloc&) {
    g_last_error = "out of memory";
    return SOTTO_OUT_OF_MEMORY;
  } catch (const std::exception& error) {
    g_last_error = error.what();
    return SOTTO_INTERNAL;
  }
}

inline void Require(const void* pointer, const char* what) {
  if (pointer == nullptr) Fail(ErrorCode::kBadInput, "{} is NULL", what);
}

}  // namespace sotto::api
