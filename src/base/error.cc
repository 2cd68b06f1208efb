// SPDX-License-Identifier: MIT
#include "base/error.h"

namespace sotto {

const char* ErrorCodeName(ErrorCode code) {
  switch (code) {
    case ErrorCode::kBadInput: return "bad_input";
    case ErrorCode::kNotFound: return "not_found";
    case ErrorCode::kUnsupported: return "unsupported";
    case ErrorCode::kOutOfMemory: return "out_of_memory";
    case ErrorCode::kDevice: return "device";
    case ErrorCode::kCancelled: return "cancelled";
    case ErrorCode::kInternal: return "internal";
  }
  return "unknown";
}

void CheckFailed(const char* condition, const char* file, int line) {
  Fail(ErrorCode::kInternal, "internal error at {}:{}: {}", file, line,
       condition);
}

}  // namespace sotto
