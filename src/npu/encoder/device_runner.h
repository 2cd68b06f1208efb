// SPDX-License-Identifier: MIT
// The encoder on a real NPU, from the package that `sotto npu build encoder`
// made. One package for each precision serves every model: the array's
// configuration is the same for all shapes, the instruction stream is made here
// for the model's, and weights stream from a host buffer.
#pragma once

#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "npu/design/design.h"
#include "npu/emit/package.h"
#include "npu/encoder/runner.h"
#include "npu/encoder/shape.h"
#include "npu/host/context_pool.h"
#include "npu/host/device.h"

namespace sotto::npu {

// The design that a precision's package is built from: base's encoder.
// `name`: "encoder-bf16", "encoder-int8".
std::string PackageName(EncoderPrecision precision);
Design PackageDesign(EncoderPrecision precision);

// A device with the pool of its contexts, for all engines of a process.
struct SharedDevice {
  explicit SharedDevice(std::unique_ptr<Device> opened)
      : device(std::move(opened)), pool(*device) {}
  std::unique_ptr<Device> device;
  ContextPool pool;
};

struct DeviceRunnerOptions {
  std::filesystem::path packages = PackagesFolder();
  // Of a window; the largest model is modelled at less than a second.
  std::chrono::milliseconds timeout{10000};
  std::chrono::milliseconds context_wait{10000};
};

// Throws kUnsupported where no package is built or the device is not an npu1.
// Whatever goes wrong in a run is Error(kDevice), so that the caller can go on
// without the NPU.
std::unique_ptr<EncoderRunner> MakeDeviceRunner(
    std::shared_ptr<SharedDevice> shared, DeviceRunnerOptions options = {});

}  // namespace sotto::npu
