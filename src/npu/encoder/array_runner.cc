// SPDX-License-Identifier: MIT
#include "npu/encoder/array_runner.h"

#include <cstring>
#include <mutex>
#include <optional>
#include <string_view>

#include "base/error.h"
#include "npu/design/planner.h"
#include "npu/encoder/array_design.h"
#include "npu/encoder/array_pack.h"
#include "npu/sim/device.h"

namespace sotto::npu {
namespace {

// Which model the weights on the device are: all epilogues' parameters
// (FNV-1a).
uint64_t Fingerprint(const PackedEncoder& encoder) {
  uint64_t hash = 14695981039346656037U;
  const auto add = [&hash](const std::vector<float>& values) {
    for (const float value : values) {
      uint32_t bits = 0;
      std::memcpy(&bits, &value, sizeof bits);
      hash = (hash ^ bits) * 1099511628211U;
    }
  };
  add(encoder.stem1.params);
  add(encoder.stem2.params);
  for (const PackedLayer& layer : encoder.layers)
    for (const PackedMatrix* m :
         {&layer.qkv, &layer.out, &layer.fc1, &layer.fc2})
      add(m->params);
  add(encoder.last);
  return hash;
}

// A context with its buffers, for one shape and precision.
class Session {
 public:
  Session(Device* device, const PackedEncoder& encoder)
      : layout_(MakeArrayLayout(encoder.shape, encoder.precision)) {
    Plan plan = MakePlan(MakeEncoderDesign(layout_));
    Image image;
    image.config = std::make_shared<const ArrayConfig>(std::move(plan.config));
    image.instructions = Encode(plan.stream);
    context_ = device->Open(image);
    n_words_ = static_cast<uint32_t>(image.instructions.size());
    instructions_ =
        context_->MakeBuffer(HostBuffer::Kind::kInstructions,
                             image.instructions.size() * 4, kInstructionGroup);
    std::memcpy(instructions_->bytes().data(), image.instructions.data(),
                image.instructions.size() * 4);
    instructions_->SyncToDevice();
    for (int i = 0; i < 4; ++i) {
      data_[i] = context_->MakeBuffer(HostBuffer::Kind::kData,
                                      static_cast<size_t>(layout_.bytes[i]),
                                      kFirstDataGroup + i);
      std::memset(data_[i]->bytes().data(), 0, data_[i]->bytes().size());
      data_[i]->SyncToDevice();
    }
  }

  bool Takes(const PackedEncoder& encoder) const {
    return layout_.shape == encoder.shape &&
           layout_.precision == encoder.precision;
  }

  void Run(const PackedEncoder& encoder, const float* mel, float* audio) {
    const uint64_t model = Fingerprint(encoder);
    if (model_ != model) {
      const sotto::Buffer weights = PackArrayWeights(layout_, encoder);
      HostBuffer& to = Data(ArrayBuffer::kWeights);
      std::memcpy(to.bytes().data(), weights.data(), weights.size());
      to.SyncToDevice();
      model_ = model;
    }
    HostBuffer& input = Data(ArrayBuffer::kInput);
    MakeArrayInput(layout_, mel, input.bytes().data());
    input.SyncToDevice();
    HostBuffer* buffers[4];
    for (int i = 0; i < 4; ++i) buffers[i] = data_[i].get();
    const RunResult result = context_->Run(*instructions_, n_words_, buffers,
                                           std::chrono::milliseconds(0));
    if (result.state != RunState::kCompleted)
      Fail(ErrorCode::kDevice, "npu: the encoder ended as {}: {}",
           Name(result.state), result.detail);
    HostBuffer& output = Data(ArrayBuffer::kOutput);
    output.SyncFromDevice();
    ReadArrayOutput(layout_, output.bytes().data(), audio);
  }

  const Context& context() const { return *context_; }

 private:
  HostBuffer& Data(ArrayBuffer buffer) {
    return *data_[static_cast<int>(buffer)];
  }

  ArrayLayout layout_;
  std::unique_ptr<Context> context_;
  uint32_t n_words_ = 0;
  std::unique_ptr<HostBuffer> instructions_;
  std::unique_ptr<HostBuffer> data_[4];
  std::optional<uint64_t> model_;
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
    if (!session_.has_value() || !session_->Takes(encoder)) {
      session_.reset();
      session_.emplace(&device_, encoder);
    }
    session_->Run(encoder, mel, audio);
    if (!report_) return;
    report_(dynamic_cast<const SimContext&>(session_->context()).report());
  }

 private:
  mutable std::mutex mutex_;
  mutable SimDevice device_;
  std::function<void(const SimReport&)> report_;
  mutable std::optional<Session> session_;
};

}  // namespace

std::unique_ptr<EncoderRunner> MakeArrayRunner(
    SimOptions options, std::function<void(const SimReport&)> report) {
  return std::make_unique<ArrayRunner>(std::move(options), std::move(report));
}

}  // namespace sotto::npu
