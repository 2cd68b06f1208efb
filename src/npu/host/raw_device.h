// SPDX-License-Identifier: MIT
// An NPU through its kernel driver alone, for machines without XRT. Has never
// run on hardware: it is held to a fake driver made from the kernel's sources.
#pragma once

#include <memory>

#include "npu/host/device.h"
#include "npu/host/ioctl.h"
#include "npu/host/protocol.h"

namespace sotto::npu {

// The device behind an open node. Named "npu1 (amdxdna 0.6, firmware 1.5.5.391,
// without XRT)". Throws kDevice: not amdxdna's node, not npu1's array, no heap.
std::unique_ptr<Device> OpenRawDevice(std::unique_ptr<Ioctl> node);

// Point raw-driver: would OpenRawDevice do? Never throws.
Finding ExamineRaw(std::unique_ptr<Ioctl> node);

}  // namespace sotto::npu
