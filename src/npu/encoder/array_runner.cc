// SPDX-License-Identifier: MIT
#include "npu/encoder/array_runner.h"

#include <mutex>
#include <optional>
#include <utility>

#include "npu/design/planner.h"
#include "npu/encoder/array_design.h"
#include "npu/encoder/array_session.h"
#include "npu/sim/device.h"

namespace sotto::npu {
namespace {

// A context of the simulator for one shape and precision.
class Simulated {
 public:
  Simulated(Device* device, const PackedEncoder& encoder) {
    ArrayLayout layout = MakeArrayLayout(encoder.shape, encoder.precision);
    Plan plan = MakePlan(MakeEncoderDesign(layout));
    Image image;
    image.config = std::make_shared<const ArrayConfig>(std::move(plan.config));
    context_ = device->Open(image);
    session_.emplace(context_.get(), std::move(layout), Encode(plan.stream),
                     std::chrono::milliseconds(0));
  }
  ArraySession& session() { return *session_; }
  const Context& context() const { return *context_; }

 private:
  std::unique_ptr<Context> context_;
  std::optional<ArraySession> session_;
};

class ArrayRunner : public EncoderRunner {
 public:
  ArrayRunner(SimOptions options, std::function<void(const SimReport&)> report)
      : device_(std::move(options)), report_(std::move(report)) {}

  std::string name() const override { return "npu1 array simulator"; }
  bool on_cpu() const override { return true; }
  // The device's buffers are its own.
  size_t WorkBytes(const PackedEncoder&) const override { return 64; }
  void Run(const PackedEncoder& encoder, const float* mel, float* audio,
           std::byte*, ThreadPool&) const override {
    const std::lock_guard lock(mutex_);
    if (!simulated_.has_value() || !simulated_->session().Takes(encoder)) {
      simulated_.reset();
      simulated_.emplace(&device_, encoder);
    }
    simulated_->session().Run(encoder, mel, audio);
    if (!report_) return;
    report_(dynamic_cast<const SimContext&>(simulated_->context()).report());
  }

 private:
  mutable std::mutex mutex_;
  mutable SimDevice device_;
  std::function<void(const SimReport&)> report_;
  mutable std::optional<Simulated> simulated_;
};

}  // namespace

std::unique_ptr<EncoderRunner> MakeArrayRunner(
    SimOptions options, std::function<void(const SimReport&)> report) {
  return std::make_unique<ArrayRunner>(std::move(options), std::move(report));
}

}  // namespace sotto::npu
