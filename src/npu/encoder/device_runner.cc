// SPDX-License-Identifier: MIT
#include "base/error.h"
#include "npu/encoder/runner.h"
#include "npu/host/doctor.h"
#include "npu/host/xrt_device.h"

namespace sotto::npu {

std::unique_ptr<EncoderRunner> MakeDeviceRunner() {
  const auto system = ThisSystem();
  std::vector<Finding> found = ExamineMachine(*system);
  found.push_back(ExamineXrt(*system, FindXrtPlugin()));
  for (const Finding& f : found)
    if (!f.ok)
      Fail(ErrorCode::kUnsupported, "npu: {}: {}; see sotto doctor --npu",
           f.detail, f.cause);
  Fail(ErrorCode::kUnsupported,
       "npu: the encoder's package for this model was not built; see `sotto "
       "npu build`");
}

}  // namespace sotto::npu
