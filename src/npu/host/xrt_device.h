// SPDX-License-Identifier: MIT
// An NPU through XRT, opened at run time: nothing here links it.
#pragma once

#include <filesystem>
#include <memory>
#include <vector>

#include "npu/host/device.h"
#include "npu/host/xrt_api.h"

namespace sotto::npu {

// Opens libsotto_xrt.so at `path`. Throws kUnsupported naming the file and
// why it cannot be used: not there, XRT not installed, another ABI.
const SottoXrtApi& LoadXrtPlugin(const std::filesystem::path& path);

// Where the plug-in may stand: beside the program, in its ../lib and
// ../lib/sotto. The first that exists; empty where none does.
std::filesystem::path FindXrtPlugin();

// The device `index` behind `api`, which must outlive it. Throws kDevice.
std::unique_ptr<Device> OpenXrtDevice(const SottoXrtApi& api,
                                      unsigned index = 0);

// What the driver says when all contexts are taken, in the words it uses: the
// numbers differ between its versions (-2, -22, -28).
bool MeansNoContextFree(std::string_view driver_message);

}  // namespace sotto::npu
