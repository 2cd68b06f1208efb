// SPDX-License-Identifier: MIT
// Runs a design on any device, simulated or real, through the host's interface.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <cstring>
#include <map>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "npu/design/planner.h"
#include "npu/emit/package.h"
#include "npu/host/device.h"

namespace sotto::npu {

using Bytes = std::vector<std::byte>;

inline Bytes RandomBytes(size_t n, uint64_t seed) {
  std::mt19937_64 random(seed);
  Bytes bytes(n);
  for (std::byte& b : bytes) b = static_cast<std::byte>(random());
  return bytes;
}

struct DesignRun {
  std::map<std::string, Bytes> out;  // by host buffer
  RunResult last;
};

// A loaded design. `package`: what was built of it, for a real device.
class LoadedDesign {
 public:
  LoadedDesign(Device& device, Design design, const Package* package = nullptr)
      : design_(std::move(design)) {
    const Plan plan = package ? package->plan : MakePlan(design_);
    Image image{std::make_shared<const ArrayConfig>(plan.config), "",
                Encode(plan.stream)};
    if (package != nullptr) {
      image.xclbin_path = package->xclbin.string();
      image.instructions = package->instructions;
    }
    words_ = static_cast<uint32_t>(image.instructions.size());
    context_ = device.Open(image);
    code_ = context_->MakeBuffer(HostBuffer::Kind::kInstructions, 4 * words_,
                                 kInstructionGroup);
    std::memcpy(code_->bytes().data(), image.instructions.data(), 4 * words_);
    code_->SyncToDevice();
    for (const HostBufferDesign& b : design_.host_buffers) {
      const int group = kFirstDataGroup + static_cast<int>(data_.size());
      data_.push_back(context_->MakeBuffer(
          HostBuffer::Kind::kData, static_cast<size_t>(b.bytes), group));
    }
  }

  // `in`: by host buffer; what the design itself wants is filled in. Outputs
  // start with a pattern.
  DesignRun Run(const std::map<std::string, Bytes>& in) {
    std::vector<HostBuffer*> pointers;
    for (size_t i = 0; i < data_.size(); ++i) {
      const HostBufferDesign& b = design_.host_buffers[i];
      const std::span<std::byte> bytes = data_[i]->bytes();
      std::memset(bytes.data(), 0xA5, bytes.size());
      if (!b.initial.empty())
        std::memcpy(bytes.data(), b.initial.data(), b.initial.size());
      if (const auto given = in.find(b.name); given != in.end())
        std::memcpy(bytes.data(), given->second.data(), given->second.size());
      data_[i]->SyncToDevice();
      pointers.push_back(data_[i].get());
    }
    DesignRun run;
    run.last = context_->Run(*code_, words_, pointers,
                             std::chrono::milliseconds(60000));
    EXPECT_EQ(run.last.state, RunState::kCompleted) << run.last.detail;
    for (size_t i = 0; i < data_.size(); ++i) {
      const HostBufferDesign& b = design_.host_buffers[i];
      if (!b.output) continue;
      data_[i]->SyncFromDevice();
      run.out[b.name].assign(data_[i]->bytes().begin(),
                             data_[i]->bytes().end());
    }
    return run;
  }

  // Random bytes for every host buffer that the design only reads.
  std::map<std::string, Bytes> RandomInputs(uint64_t seed) const {
    std::map<std::string, Bytes> in;
    for (const HostBufferDesign& b : design_.host_buffers)
      if (!b.output && b.initial.empty())
        in[b.name] = RandomBytes(static_cast<size_t>(b.bytes), seed++);
    return in;
  }

 private:
  Design design_;
  uint32_t words_ = 0;
  std::unique_ptr<Context> context_;
  std::unique_ptr<HostBuffer> code_;
  std::vector<std::unique_ptr<HostBuffer>> data_;
};

}  // namespace sotto::npu
