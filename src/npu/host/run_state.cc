// SPDX-License-Identifier: MIT
#include "npu/host/device.h"

namespace sotto::npu {

std::string_view Name(RunState state) {
  switch (state) {
    case RunState::kNew:
      return "NEW";
    case RunState::kQueued:
      return "QUEUED";
    case RunState::kRunning:
      return "RUNNING";
    case RunState::kCompleted:
      return "COMPLETED";
    case RunState::kError:
      return "ERROR";
    case RunState::kAbort:
      return "ABORT";
    case RunState::kSubmitted:
      return "SUBMITTED";
    case RunState::kTimeout:
      return "TIMEOUT";
    case RunState::kNoResponse:
      return "NORESPONSE";
  }
  return "unknown state";
}

}  // namespace sotto::npu
