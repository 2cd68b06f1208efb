// SPDX-License-Identifier: MIT
// From a design to what a real NPU loads, in five steps with time-outs and
// logs: compile the kernels (Peano), archive them and check their symbols,
// write MLIR, aiecc, package. The manifest binds all of it by hashes, so that
// nothing stale is ever run.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>

#include "npu/design/design.h"
#include "npu/emit/environment.h"
#include "npu/emit/package.h"

namespace sotto::npu {

struct BuildOptions {
  std::filesystem::path folder;  // made where missing
  std::span<const KernelSource> sources = KernelSources();
  std::chrono::milliseconds compile_timeout = std::chrono::seconds(120);
  std::chrono::milliseconds package_timeout = std::chrono::seconds(300);
  // Called as each step begins.
  std::function<void(int step, int steps, const std::string& what)> progress;
};

struct BuildResult {
  std::filesystem::path xclbin;
  std::filesystem::path instructions;
  std::filesystem::path manifest;
  double seconds = 0;
};

// Throws Error: kUnsupported where a tool is missing (names it and the fix),
// kDevice where a step fails or runs out of time (names step, log and the last
// line of it), kBadInput for a missing or doubled kernel symbol.
BuildResult BuildPackage(const Design& design, const Environment& environment,
                         const BuildOptions& options);

}  // namespace sotto::npu
