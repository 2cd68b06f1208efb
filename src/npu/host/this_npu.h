// SPDX-License-Identifier: MIT
// Which way to this machine's NPU: through XRT, or through its kernel driver
// alone.
#pragma once

#include <memory>
#include <vector>

#include "npu/host/device.h"
#include "npu/host/protocol.h"
#include "npu/host/system.h"

namespace sotto::npu {

// Point raw-driver of this machine's node; skipped where there is none.
Finding ExamineRaw(const System& system);

// The points xrt and raw-driver together: one of them is enough.
std::vector<Finding> EitherWay(Finding xrt, Finding raw);

// The NPU of this machine: through XRT where its plug-in is there and loads,
// else through the driver. Throws kUnsupported or kDevice with the reason of
// each.
std::unique_ptr<Device> OpenThisNpu(const System& system);

}  // namespace sotto::npu
