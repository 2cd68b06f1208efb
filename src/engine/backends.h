// SPDX-License-Identifier: MIT
// The list of backends in this build; the only place that names them.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/thread_pool.h"
#include "compile/profile.h"
#include "model/weights.h"
#include "npu/encoder/runner.h"
#include "runtime/backend.h"

namespace sotto {

// What a profile's stages are compiled for.
struct BackendSet {
  std::vector<std::unique_ptr<Backend>> backends;  // asked in order, CPU last
  // What runs the encoder, as reports print it: "cpu", "npu1 (XRT 2.25)".
  std::string encoder_device = "cpu";
  // Does it take the CPU's cores? A device does not, its emulation does.
  bool encoder_on_cpu = true;
  // Why it is not the device asked for; empty where it is.
  std::string fallback;

  std::vector<Backend*> pointers() const;
};

// Names that --device takes.
inline constexpr std::string_view kDevices = "cpu, npu, npu-sim or npu-array";
bool IsDevice(std::string_view name);

// The backends that the profile's device wants, those that are there. Beside
// the weights' file stand files about the model, such as int8's scales. A
// device that is not there is no error: `fallback` says so. Throws kUnsupported
// for an unknown device. `runner`: what runs the NPU's encoder; null: the
// device itself.
BackendSet MakeBackends(const Profile& profile, const WeightStore& weights,
                        ThreadPool& pool,
                        std::shared_ptr<const npu::EncoderRunner> runner = {});

}  // namespace sotto
