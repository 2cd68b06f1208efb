// SPDX-License-Identifier: MIT
// The NPU as the host sees it: device, context, buffer, run. XRT, the raw
// driver and the simulator stand behind the same four types, so that one test
// suite drives them all.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "npu/array_config.h"

namespace sotto::npu {

// XRT's ert_cmd_state, same numbers. Only kCompleted is success.
enum class RunState : uint8_t {
  kNew = 1,
  kQueued = 2,
  kRunning = 3,
  kCompleted = 4,
  kError = 5,
  kAbort = 6,
  kSubmitted = 7,
  kTimeout = 8,
  kNoResponse = 9,
};
std::string_view Name(RunState state);
// Why a run ended so; empty for kCompleted. `timeout`: how long it was waited
// for.
std::string Explain(RunState state, std::chrono::milliseconds timeout);

// Arguments of the kernel: opcode, instructions, their length, data.
inline constexpr int kInstructionGroup = 1;
inline constexpr int kFirstDataGroup = 3;

// What is loaded into the array: the simulator takes the configuration, a real
// device the package made from it. The hash binds them.
struct Image {
  std::shared_ptr<const ArrayConfig> config;
  std::string xclbin_path;             // empty: none was built
  std::vector<uint32_t> instructions;  // TXN words
};

// A real device's part of it. Throws kDevice where none was built.
const std::string& XclbinOf(const Image& image);

class HostBuffer {
 public:
  enum class Kind : uint8_t { kInstructions, kData };
  virtual ~HostBuffer() = default;
  virtual std::span<std::byte> bytes() = 0;
  virtual void SyncToDevice() = 0;
  virtual void SyncFromDevice() = 0;
};

// Modelled time of a simulated run; absent for a real device.
struct ModelledTime {
  int64_t cycles = 0;
  double clock_ghz = 1.0;
};

struct RunResult {
  RunState state = RunState::kNew;
  std::string detail;  // why, where the state is not kCompleted
  double wall_ms = 0;  // measured on the host
  bool modelled = false;
  ModelledTime time;
};

// A loaded configuration. Used by one thread at a time.
class Context {
 public:
  virtual ~Context() = default;
  // `group`: the argument of the kernel that the buffer will be, which decides
  // the memory it lies in: kInstructionGroup, or kFirstDataGroup + i.
  virtual std::unique_ptr<HostBuffer> MakeBuffer(HostBuffer::Kind kind,
                                                 size_t bytes, int group) = 0;
  // Opcode 3, the instruction buffer, its length in words, the data buffers.
  virtual RunResult Run(HostBuffer& instructions, uint32_t n_words,
                        std::span<HostBuffer* const> data,
                        std::chrono::milliseconds timeout) = 0;
};

class Device {
 public:
  virtual ~Device() = default;
  // What ran, as reports print it: "npu1 (XRT 2.25)", "npu1 simulator".
  virtual std::string name() const = 0;
  virtual bool simulated() const = 0;
  // Throws Error(kDevice) where no context is free or the image is refused.
  virtual std::unique_ptr<Context> Open(const Image& image) = 0;
};

}  // namespace sotto::npu
