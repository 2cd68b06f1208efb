// SPDX-License-Identifier: MIT
// A built package: the files beside each other, the manifest that binds them,
// and where packages lie.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "npu/design/design.h"
#include "npu/design/planner.h"
#include "npu/emit/kernel_sources.h"

namespace sotto::npu {

// Names in a package's folder.
namespace package {
inline constexpr int kFormat = 2;  // of the manifest
inline constexpr const char* kManifest = "manifest.json";
inline constexpr const char* kMlir = "design.mlir";
inline constexpr const char* kArchive = "kernels.a";
inline constexpr const char* kXclbin = "design.xclbin";
// What runs: the plan's own stream.
inline constexpr const char* kInstructions = "planned.bin";
// aiecc's stream of the same sequence, for comparison.
inline constexpr const char* kCompiled = "insts.bin";
inline constexpr const char* kSources = "sources";
}  // namespace package

struct Package {
  std::filesystem::path xclbin;
  std::vector<uint32_t> instructions;
  Plan plan;  // as built: stacks below
};

// `design` as packages have it.
Design ForDevice(Design design);

// Opens a built package for `design`. Throws kNotFound where none is built
// there, and kBadInput naming the file whose hash is not the manifest's, or the
// design or kernel source of this program that is not the one it was built
// from.
Package OpenPackage(const Design& design, const std::filesystem::path& folder,
                    std::span<const KernelSource> sources = KernelSources());

// ~/.cache/sotto/npu, where `sotto npu build` puts a folder for each design.
std::filesystem::path PackagesFolder();

}  // namespace sotto::npu
