// SPDX-License-Identifier: MIT
#include "npu/encoder/array_session.h"

#include <cstring>
#include <utility>

#include "base/error.h"
#include "npu/encoder/array_pack.h"

namespace sotto::npu {

ArraySession::ArraySession(Context* context, ArrayLayout layout,
                           std::span<const uint32_t> instructions,
                           std::chrono::milliseconds timeout)
    : context_(context),
      layout_(std::move(layout)),
      n_words_(static_cast<uint32_t>(instructions.size())),
      timeout_(timeout) {
  instructions_ =
      context_->MakeBuffer(HostBuffer::Kind::kInstructions,
                           instructions.size_bytes(), kInstructionGroup);
  std::memcpy(instructions_->bytes().data(), instructions.data(),
              instructions.size_bytes());
  instructions_->SyncToDevice();
  for (int i = 0; i < 4; ++i) {
    data_[i] = context_->MakeBuffer(HostBuffer::Kind::kData,
                                    static_cast<size_t>(layout_.bytes[i]),
                                    kFirstDataGroup + i);
    std::memset(data_[i]->bytes().data(), 0, data_[i]->bytes().size());
    data_[i]->SyncToDevice();
  }
}

void ArraySession::Write(const PackedEncoder& encoder) {
  if (holds_ == encoder.id) return;
  holds_.reset();
  const sotto::Buffer weights = PackArrayWeights(layout_, encoder);
  HostBuffer& to = Data(ArrayBuffer::kWeights);
  std::memcpy(to.bytes().data(), weights.data(), weights.size());
  to.SyncToDevice();
  holds_ = encoder.id;
}

void ArraySession::Run(const PackedEncoder& encoder, const float* mel,
                       float* audio) {
  Write(encoder);
  HostBuffer& input = Data(ArrayBuffer::kInput);
  MakeArrayInput(layout_, mel, input.bytes().data());
  input.SyncToDevice();
  HostBuffer* buffers[4];
  for (int i = 0; i < 4; ++i) buffers[i] = data_[i].get();
  const RunResult result =
      context_->Run(*instructions_, n_words_, buffers, timeout_);
  if (result.state != RunState::kCompleted)
    Fail(ErrorCode::kDevice, "npu: the encoder ended as {}: {}",
         Name(result.state), result.detail);
  HostBuffer& output = Data(ArrayBuffer::kOutput);
  output.SyncFromDevice();
  ReadArrayOutput(layout_, output.bytes().data(), audio);
}

}  // namespace sotto::npu
