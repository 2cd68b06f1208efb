// SPDX-License-Identifier: MIT
#include "engine/backends.h"

#include <fmt/format.h>

#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "cpu/cpu_backend.h"
#include "npu/encoder/array_runner.h"
#include "npu/encoder/backend.h"
#include "npu/encoder/calibration.h"

namespace sotto {
namespace {

// Only int8 needs scales, so only int8 minds a file that is damaged. What is
// wrong is told here, not as one reason of many why no backend takes the
// encoder.
npu::NpuOptions OptionsFor(const Profile& profile, const WeightStore& weights) {
  npu::NpuOptions options;
  if (profile.Of(Stage::kEncoder).precision != Precision::kInt8) return options;
  const auto path = npu::CalibrationPath(weights.path());
  const std::string command =
      fmt::format("sotto npu calibrate --model '{}' FILE-OR-FOLDER...",
                  weights.path().string());
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored))
    Fail(ErrorCode::kNotFound,
         "npu: int8 needs the model's scales and {} is not there; make it from "
         "speech like yours: {}",
         path.string(), command);
  auto calibration = npu::Calibration::Load(path);
  try {
    calibration.Check(npu::EncoderShapeOf(weights.spec()));
  } catch (const Error& error) {
    Fail(ErrorCode::kBadInput, "{}: {}; make them for this model: {}",
         path.string(), error.what(), command);
  }
  options.calibration =
      std::make_shared<const npu::Calibration>(std::move(calibration));
  return options;
}

std::shared_ptr<const npu::EncoderRunner> RunnerOf(std::string_view device) {
  if (device == "npu") return npu::MakeDeviceRunner();
  if (device == "npu-sim") return npu::MakeHostRunner();
  npu::SimOptions options;
  options.threads = 2;
  return npu::MakeArrayRunner(options, [](const npu::SimReport& report) {
    Log(LogLevel::kInfo, "npu: a window takes {:.1f} ms, modelled at {} GHz",
        report.milliseconds(), report.parameters.clock_ghz);
  });
}

}  // namespace

std::vector<Backend*> BackendSet::pointers() const {
  std::vector<Backend*> all;
  for (const auto& backend : backends) all.push_back(backend.get());
  return all;
}

bool IsDevice(std::string_view name) {
  return name == "cpu" || name == "npu" || name == "npu-sim" ||
         name == "npu-array";
}

BackendSet MakeBackends(const Profile& profile, const WeightStore& weights,
                        ThreadPool& pool,
                        std::shared_ptr<const npu::EncoderRunner> runner) {
  BackendSet set;
  if (!IsDevice(profile.device))
    Fail(ErrorCode::kUnsupported, "device '{}' is not in this build, want {}",
         profile.device, kDevices);
  if (profile.device != "cpu") {
    try {
      if (runner == nullptr) runner = RunnerOf(profile.device);
      npu::NpuOptions options = OptionsFor(profile, weights);
      options.runner = std::move(runner);
      set.encoder_device = options.runner->name();
      set.encoder_on_cpu = options.runner->on_cpu();
      set.backends.push_back(npu::MakeNpuBackend(std::move(options)));
    } catch (const Error& error) {
      if (error.code() != ErrorCode::kDevice &&
          error.code() != ErrorCode::kUnsupported)
        throw;
      set.fallback = error.what();
    }
  }
  set.backends.push_back(MakeCpuBackend({.features = HostFeatures(),
                                         .pool = &pool,
                                         .allow_ref = profile.allow_ref}));
  return set;
}

}  // namespace sotto
