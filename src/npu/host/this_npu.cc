// SPDX-License-Identifier: MIT
#include "npu/host/this_npu.h"

#include <string>
#include <utility>

#include "base/error.h"
#include "npu/host/doctor.h"
#include "npu/host/ioctl.h"
#include "npu/host/raw_device.h"
#include "npu/host/xrt_device.h"

namespace sotto::npu {

Finding ExamineRaw(const System& system) {
  const std::string path = FindNpuNode(system);
  if (path.empty()) return Skipped("raw-driver", "no node to open");
  try {
    return ExamineRaw(OpenNode(path));
  } catch (const Error& error) {
    return Bad("raw-driver", error.what(), "the node cannot be opened",
               "see access above");
  }
}

std::vector<Finding> EitherWay(Finding xrt, Finding raw) {
  if (!xrt.ok && raw.ok && !raw.skipped)
    xrt = Skipped("xrt", xrt.detail + "; the driver is used without it");
  return {std::move(xrt), std::move(raw)};
}

std::unique_ptr<Device> OpenThisNpu(const System& system) {
  std::string no_xrt = "XRT's plug-in was not built";
  if (const auto plugin = FindXrtPlugin(); !plugin.empty()) {
    try {
      return OpenXrtDevice(LoadXrtPlugin(plugin));
    } catch (const Error& error) {
      no_xrt = error.what();
    }
  }
  const std::string node = FindNpuNode(system);
  if (node.empty())
    Fail(ErrorCode::kUnsupported, "npu: {}; and no node of amdxdna is there",
         no_xrt);
  try {
    return OpenRawDevice(OpenNode(node));
  } catch (const Error& error) {
    Fail(ErrorCode::kDevice, "{}; with XRT: {}", error.what(), no_xrt);
  }
}

}  // namespace sotto::npu
