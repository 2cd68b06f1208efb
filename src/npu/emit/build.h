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
#include <string>
#include <vector>

#include "npu/design/design.h"
#include "npu/design/planner.h"
#include "npu/emit/environment.h"

namespace sotto::npu {

struct BuildOptions {
  std::filesystem::path folder;  // made where missing
  // Sources that the cores compile, and where "npu/kernels/vec.h" is found.
  std::vector<std::filesystem::path> sources;
  std::vector<std::filesystem::path> include_folders;
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

struct Package {
  std::filesystem::path xclbin;
  std::vector<uint32_t> instructions;
  Plan plan;  // as built: stacks below
};

// Opens a built package for `design`. Throws kBadInput naming the file whose
// hash is not the manifest's, or the design or source that has changed since.
// Sources that are not there are taken as unchanged.
Package OpenPackage(const Design& design, const std::filesystem::path& folder);

// The kernel sources of this source tree that cores compile, from its list
// npu_device.list. Throws kNotFound.
std::vector<std::filesystem::path> DeviceSources(
    const std::filesystem::path& kernels_folder);

}  // namespace sotto::npu
