// SPDX-License-Identifier: MIT
// An npu1 behind a mock of XRT: the simulated array of the encoder's package.
// For tests.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "npu/emit/build.h"
#include "npu/emit/fake_tools.h"
#include "npu/encoder/device_runner.h"
#include "npu/host/mock_xrt.h"
#include "npu/sim/array.h"

namespace sotto::npu {

// Packages of both precisions below `folder`, built with tools made of shell.
inline void BuildPackages(const FakeTools& tools,
                          const std::filesystem::path& folder) {
  for (const EncoderPrecision precision :
       {EncoderPrecision::kBF16, EncoderPrecision::kInt8}) {
    BuildOptions options;
    options.folder = folder / PackageName(precision);
    BuildPackage(PackageDesign(precision), tools.Probe(), options);
  }
}

// What a device with the package of a precision does: base's configuration,
// whatever shape the instructions and buffers are of.
class SimulatedPackage {
 public:
  explicit SimulatedPackage(EncoderPrecision precision)
      : config_(MakePlan(ForDevice(PackageDesign(precision))).config) {}

  RunState Run(std::span<const uint32_t> words,
               std::span<const std::span<std::byte>> data) {
    std::vector<int64_t> bytes;
    for (const auto& buffer : data)
      bytes.push_back(static_cast<int64_t>(buffer.size()));
    if (array_ == nullptr || config_.host_buffer_bytes != bytes) {
      config_.host_buffer_bytes = std::move(bytes);
      array_ = std::make_unique<Array>(
          std::make_shared<const ArrayConfig>(config_), SimOptions{});
    }
    const SimRun run = array_->Run(Decode(words), data);
    EXPECT_EQ(run.state, RunState::kCompleted) << run.detail;
    return run.state;
  }

 private:
  ArrayConfig config_;
  std::unique_ptr<Array> array_;
};

}  // namespace sotto::npu
