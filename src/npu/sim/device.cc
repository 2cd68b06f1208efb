// SPDX-License-Identifier: MIT
#include "npu/sim/device.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "tensor/buffer.h"

namespace sotto::npu {
namespace {

// Memory banks of the kernel's arguments: instructions, then bo0 and on.

class SimBuffer : public HostBuffer {
 public:
  SimBuffer(Kind kind, size_t bytes, int group)
      : kind_(kind), group_(group), host_(bytes), device_(bytes) {
    std::memset(device_.data(), 0xFF, bytes);
  }
  std::span<std::byte> bytes() override { return host_.bytes(); }
  void SyncToDevice() override {
    std::memcpy(device_.data(), host_.data(), host_.size());
    synced_ = true;
  }
  void SyncFromDevice() override {
    std::memcpy(host_.data(), device_.data(), host_.size());
  }
  Kind kind() const { return kind_; }
  int group() const { return group_; }
  bool synced() const { return synced_; }
  std::span<std::byte> device() { return device_.bytes(); }

 private:
  Kind kind_;
  int group_;
  Buffer host_;
  Buffer device_;
  bool synced_ = false;
};

// One of the device's contexts, given back when it goes.
class Slot {
 public:
  explicit Slot(std::shared_ptr<std::atomic<int>> open)
      : open_(std::move(open)) {
    if (open_->fetch_add(1) >= kMaxContexts) {
      --*open_;
      Fail(ErrorCode::kDevice,
           "npu1 simulator: no context free, all {} are open", kMaxContexts);
    }
  }
  ~Slot() { --*open_; }
  Slot(const Slot&) = delete;
  Slot& operator=(const Slot&) = delete;

 private:
  std::shared_ptr<std::atomic<int>> open_;
};

class SimContextImpl : public SimContext {
 public:
  SimContextImpl(std::shared_ptr<std::atomic<int>> open, const Image& image,
                 const SimOptions& options)
      : slot_(std::move(open)),
        options_(options),
        array_(image.config, options) {}

  std::unique_ptr<HostBuffer> MakeBuffer(HostBuffer::Kind kind, size_t bytes,
                                         int group) override {
    if (bytes == 0) {
      Fail(ErrorCode::kBadInput, "npu1 simulator: buffer of 0 bytes");
    }
    return std::make_unique<SimBuffer>(kind, bytes, group);
  }

  RunResult Run(HostBuffer& instructions, uint32_t n_words,
                std::span<HostBuffer* const> data,
                std::chrono::milliseconds timeout) override {
    const auto start = std::chrono::steady_clock::now();
    RunResult result = RunArray(instructions, n_words, data, timeout);
    result.wall_ms = std::chrono::duration<double, std::milli>(
                         std::chrono::steady_clock::now() - start)
                         .count();
    result.modelled = true;
    result.time = {report_.total_cycles(), options_.parameters.clock_ghz};
    return result;
  }

  const SimReport& report() const override { return report_; }
  const Array& array() const override { return array_; }

 private:
  static RunResult Refuse(std::string why) {
    return {.state = RunState::kError, .detail = std::move(why)};
  }

  // The stream's words, or why there is none.
  static std::string Instructions(HostBuffer& buffer, uint32_t n_words,
                                  std::vector<uint32_t>* words) {
    auto* bo = dynamic_cast<SimBuffer*>(&buffer);
    if (bo == nullptr) return "instructions: a buffer of another device";
    if (bo->kind() != HostBuffer::Kind::kInstructions) {
      return "instructions: a data buffer is in the place of the instruction "
             "buffer, want opcode, instructions, words, data in this order";
    }
    if (bo->group() != kInstructionGroup) {
      return fmt::format("instructions: buffer is in memory group {}, want {}",
                         bo->group(), kInstructionGroup);
    }
    if (!bo->synced()) {
      return "instructions: buffer was never synced to the device";
    }
    const size_t held = bo->device().size() / 4;
    std::vector<uint32_t> all(held);
    std::memcpy(all.data(), bo->device().data(), 4 * held);
    if (held < 4) {
      return fmt::format("instructions: buffer of {} bytes holds no stream",
                         bo->device().size());
    }
    // The header tells the length in bytes. Published hosts pass words, one
    // passes bytes; the firmware goes by the header.
    const size_t length = all[3] / 4;
    if (length > held) {
      return fmt::format(
          "instructions: stream of {} words in a buffer of {}: truncated",
          length, held);
    }
    if (n_words != length && n_words != 4 * length) {
      return fmt::format(
          "instructions: {} words were announced, the stream has {}", n_words,
          length);
    }
    all.resize(length);
    *words = std::move(all);
    return "";
  }

  RunResult RunArray(HostBuffer& instructions, uint32_t n_words,
                     std::span<HostBuffer* const> data,
                     std::chrono::milliseconds timeout) {
    report_ = {};
    std::vector<uint32_t> words;
    if (std::string why = Instructions(instructions, n_words, &words);
        !why.empty()) {
      return Refuse(std::move(why));
    }
    std::vector<std::span<std::byte>> buffers;
    for (size_t i = 0; i < data.size(); ++i) {
      auto* bo = dynamic_cast<SimBuffer*>(data[i]);
      if (bo == nullptr) {
        return Refuse(fmt::format("data buffer {}: not of this device", i));
      }
      if (bo->kind() != HostBuffer::Kind::kData) {
        return Refuse(fmt::format(
            "data buffer {}: is an instruction buffer, want a data buffer", i));
      }
      if (bo->group() < kFirstDataGroup) {
        return Refuse(fmt::format(
            "data buffer {}: is in memory group {}, want {} or more", i,
            bo->group(), kFirstDataGroup));
      }
      buffers.push_back(bo->device());
    }
    TxnStream stream;
    try {
      stream = Decode(words);
    } catch (const Error& error) {
      return Refuse(error.what());
    }
    const auto limit =
        static_cast<int64_t>(static_cast<double>(timeout.count()) * 1e6 *
                             options_.parameters.clock_ghz);
    SimRun run = array_.Run(stream, buffers, limit);
    report_ = std::move(run.report);
    return {.state = run.state, .detail = std::move(run.detail)};
  }

  Slot slot_;
  SimOptions options_;
  Array array_;
  SimReport report_;
};

}  // namespace

std::unique_ptr<Context> SimDevice::Open(const Image& image) {
  if (image.config == nullptr) {
    Fail(ErrorCode::kDevice,
         "npu1 simulator: image has no array configuration, the simulator "
         "cannot run an xclbin");
  }
  return std::make_unique<SimContextImpl>(open_, image, options_);
}

}  // namespace sotto::npu
