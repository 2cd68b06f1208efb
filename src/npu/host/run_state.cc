// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include "base/error.h"
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

std::string Explain(RunState state, std::chrono::milliseconds timeout) {
  switch (state) {
    case RunState::kCompleted:
      return {};
    case RunState::kError:
      return "the firmware refused the instruction stream or the array raised "
             "an error";
    case RunState::kAbort:
      return "the context died before the run";
    case RunState::kTimeout:
      return "the array made no progress";
    case RunState::kRunning:
    case RunState::kSubmitted:
    case RunState::kQueued:
    case RunState::kNew:
      return fmt::format("not done after {} ms", timeout.count());
    case RunState::kNoResponse:
      return "the firmware does not answer";
  }
  return "unknown state";
}

const std::string& XclbinOf(const Image& image) {
  if (image.xclbin_path.empty())
    Fail(ErrorCode::kDevice,
         "npu: this program has no xclbin; `sotto npu build` makes it where "
         "Peano and aiecc are installed");
  return image.xclbin_path;
}

}  // namespace sotto::npu
