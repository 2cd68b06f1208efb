// SPDX-License-Identifier: MIT
#include "npu/encoder/device_runner.h"

#include <map>
#include <mutex>
#include <optional>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "npu/encoder/array_design.h"
#include "npu/encoder/array_session.h"
#include "npu/host/doctor.h"
#include "npu/host/this_npu.h"

namespace sotto::npu {
namespace {

constexpr EncoderPrecision kPrecisions[] = {EncoderPrecision::kBF16,
                                            EncoderPrecision::kInt8};

// XRT's and the driver's names of what the package is not for.
void CheckDevice(const std::string& name) {
  for (const std::string_view other :
       {"npu2", "npu3", "npu4", "npu5", "npu6", "Strix", "Krackan"})
    if (name.find(other) != std::string::npos)
      Fail(ErrorCode::kUnsupported,
           "npu: the device is {}, want npu1 (Ryzen 7040 or 8040)", name);
}

// A context with one model's buffers.
class Loaded {
 public:
  Loaded(SharedDevice* shared, const Package& package, ArrayLayout layout,
         const DeviceRunnerOptions& options)
      : lease_(shared->pool.Acquire(ImageOf(package), options.context_wait)) {
    const Plan plan = MakePlan(ForDevice(MakeEncoderDesign(layout)));
    // note: what is in the xclbin is base's; only streams may differ.
    SOTTO_CHECK(plan.config.tiles == package.plan.config.tiles);
    session_.emplace(&*lease_, std::move(layout), Encode(plan.stream),
                     options.timeout);
  }
  ArraySession& session() { return *session_; }

 private:
  static Image ImageOf(const Package& package) {
    return {.config = nullptr,
            .xclbin_path = package.xclbin.string(),
            .instructions = {}};
  }

  ContextPool::Lease lease_;
  std::optional<ArraySession> session_;
};

class DeviceRunner : public EncoderRunner {
 public:
  DeviceRunner(std::shared_ptr<SharedDevice> shared,
               DeviceRunnerOptions options)
      : shared_(std::move(shared)), options_(std::move(options)) {}

  std::string name() const override { return shared_->device->name(); }
  bool on_cpu() const override { return shared_->device->simulated(); }
  // The device's buffers are its own.
  size_t WorkBytes(const PackedEncoder&) const override { return 64; }
  void Run(const PackedEncoder& encoder, const float* mel, float* audio,
           std::byte*, ThreadPool&) const override {
    const std::lock_guard lock(mutex_);
    try {
      if (!loaded_.has_value() || !loaded_->session().Takes(encoder)) {
        loaded_.reset();
        loaded_.emplace(shared_.get(), PackageOf(encoder.precision),
                        MakeArrayLayout(encoder.shape, encoder.precision),
                        options_);
      }
      loaded_->session().Run(encoder, mel, audio);
    } catch (const Error& error) {
      // A context that failed is not used again.
      loaded_.reset();
      if (error.code() == ErrorCode::kDevice) throw;
      const std::string_view why = error.what();
      Fail(ErrorCode::kDevice, "{}{}",
           why.starts_with("npu") ? "" : "npu: ", why);
    }
  }

 private:
  // Opened, and its files' hashes looked at, once.
  const Package& PackageOf(EncoderPrecision precision) const {
    const auto found = packages_.find(precision);
    if (found != packages_.end()) return found->second;
    return packages_
        .emplace(precision,
                 OpenPackage(PackageDesign(precision),
                             options_.packages / PackageName(precision)))
        .first->second;
  }

  const std::shared_ptr<SharedDevice> shared_;
  const DeviceRunnerOptions options_;
  mutable std::mutex mutex_;
  mutable std::map<EncoderPrecision, Package> packages_;
  mutable std::optional<Loaded> loaded_;
};

// This machine's NPU, examined and opened once for as long as anybody uses it.
// XRT and the driver are not examined: opening them says what is wrong.
std::shared_ptr<SharedDevice> OpenNpu() {
  static std::mutex mutex;
  static std::weak_ptr<SharedDevice> open;
  const std::lock_guard lock(mutex);
  if (auto shared = open.lock()) return shared;
  const auto system = ThisSystem();
  for (const Finding& f : ExamineMachine(*system))
    if (!f.ok)
      Fail(ErrorCode::kUnsupported, "npu: {}: {}; see sotto doctor --npu",
           f.detail, f.cause);
  try {
    auto shared = std::make_shared<SharedDevice>(OpenThisNpu(*system));
    open = shared;
    return shared;
  } catch (const Error& error) {
    Fail(ErrorCode::kUnsupported, "{}; see sotto doctor --npu", error.what());
  }
}

}  // namespace

std::string PackageName(EncoderPrecision precision) {
  return precision == EncoderPrecision::kInt8 ? "encoder-int8" : "encoder-bf16";
}

Design PackageDesign(EncoderPrecision precision) {
  return MakeEncoderDesign(EncoderShape{}, precision);
}

std::unique_ptr<EncoderRunner> MakeDeviceRunner(
    std::shared_ptr<SharedDevice> shared, DeviceRunnerOptions options) {
  CheckDevice(shared->device->name());
  bool any = false;
  for (const EncoderPrecision precision : kPrecisions)
    any = any ||
          std::filesystem::exists(options.packages / PackageName(precision) /
                                  package::kManifest);
  if (!any)
    Fail(ErrorCode::kUnsupported,
         "npu: {}: no package of the encoder is built here; `sotto npu build "
         "encoder` makes it where Peano and aiecc are installed",
         options.packages.string());
  return std::make_unique<DeviceRunner>(std::move(shared), std::move(options));
}

std::unique_ptr<EncoderRunner> MakeDeviceRunner() {
  return MakeDeviceRunner(OpenNpu());
}

}  // namespace sotto::npu
