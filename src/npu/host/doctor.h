// SPDX-License-Identifier: MIT
// What stands between this machine and its NPU, point by point: cause and fix.
#pragma once

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

#include "npu/host/device.h"
#include "npu/host/protocol.h"
#include "npu/host/system.h"

namespace sotto::npu {

// The node that the driver made for this machine's npu1, "/dev/accel/accel0";
// empty where there is none.
std::string FindNpuNode(const System& system);

// Points: kernel, pci, driver, node, access, memory-lock, firmware. Where there
// is no NPU, `pci` says so and the points after it are skipped.
std::vector<Finding> ExamineMachine(const System& system);

// Point xrt: the plug-in and the XRT it was built for. `plugin` empty: none was
// found. A failure never throws.
Finding ExamineXrt(const System& system, const std::filesystem::path& plugin);

// Points xclbin, instructions: the files of a program.
std::vector<Finding> ExamineFiles(const std::filesystem::path& xclbin,
                                  const std::filesystem::path& instructions);

// A program to run once, with the answer known beforehand.
struct TestRun {
  Image image;
  std::vector<std::byte> input;
  std::vector<std::byte> want;
  std::chrono::milliseconds timeout{2000};
};

// Runs it through XRT and answers Audit's points and one more, result: every
// byte as wanted. Never throws for what a device does.
std::vector<Finding> ExamineRun(const SottoXrtApi& api, const TestRun& run);

// One line a point, and cause and fix below those that failed.
std::string ToText(const std::vector<Finding>& findings);
// {"ok": bool, "points": [{"id", "status", "detail", "cause", "fix"}]}
std::string ToJson(const std::vector<Finding>& findings);
// No point failed.
bool Healthy(const std::vector<Finding>& findings);

}  // namespace sotto::npu
