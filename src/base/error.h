// SPDX-License-Identifier: MIT
// The one exception type of the library and the check for our own bugs.
#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <utility>

namespace sotto {

enum class ErrorCode {
  kBadInput,     // a file, flag or argument is wrong: the caller can mend it
  kNotFound,     // a file, model or tensor is not there
  kUnsupported,  // right, but this build or machine cannot do it
  kOutOfMemory,
  kDevice,     // a device failed while running
  kCancelled,  // the caller asked to stop
  kInternal,   // a bug of ours
};

// Stable lower-case name of a code, as printed by tools ("bad_input").
const char* ErrorCodeName(ErrorCode code);

// Says where, what, the value, what is wanted: one line, lower case, no full
// stop. The library never prints, aborts or exits; it throws this.
class Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& message)
      : std::runtime_error(message), code_(code) {}
  ErrorCode code() const { return code_; }

 private:
  ErrorCode code_;
};

template <typename... Args>
[[noreturn]] void Fail(ErrorCode code, fmt::format_string<Args...> format,
                       Args&&... args) {
  throw Error(code, fmt::format(format, std::forward<Args>(args)...));
}

[[noreturn]] void CheckFailed(const char* condition, const char* file,
                              int line);

}  // namespace sotto

// For invariants of ours, never for input: throws Error(kInternal).
#define SOTTO_CHECK(condition)                                \
  do {                                                        \
    if (!(condition))                                         \
      ::sotto::CheckFailed(#condition, __FILE__, __LINE__);   \
  } while (false)
