// SPDX-License-Identifier: MIT
#include "pte_model.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "audio/log_mel.h"
#include "base/error.h"
#include "tensor/half.h"

namespace sotto {
namespace {

bool IsFloat(PteScalar scalar) {
  return scalar == PteScalar::kF32 || scalar == PteScalar::kF16 ||
         scalar == PteScalar::kBF16;
}

template <typename T, typename F>
void Each(size_t count, const void* from, void* to, F convert) {
  const auto* in = static_cast<const T*>(from);
  auto* out = static_cast<decltype(convert(*in))*>(to);
  for (size_t i = 0; i < count; ++i) out[i] = convert(in[i]);
}

// Any of the three float types to f32.
void ToFloats(const PteTensor& from, std::span<float> to) {
  switch (from.type.scalar) {
    case PteScalar::kF16:
      return Each<F16>(to.size(), from.data, to.data(),
                       [](F16 v) { return ToFloat(v); });
    case PteScalar::kBF16:
      return Each<BF16>(to.size(), from.data, to.data(),
                        [](BF16 v) { return ToFloat(v); });
    default:
      std::memcpy(to.data(), from.data, to.size_bytes());
  }
}

// f32 to any of the three.
void FromFloats(std::span<const float> from, PteScalar scalar,
                std::vector<std::byte>& to) {
  to.resize(from.size() * SizeOf(scalar));
  switch (scalar) {
    case PteScalar::kF16:
      return Each<float>(from.size(), from.data(), to.data(),
                         [](float v) { return ToF16(v); });
    case PteScalar::kBF16:
      return Each<float>(from.size(), from.data(), to.data(),
                         [](float v) { return ToBF16(v); });
    default:
      std::memcpy(to.data(), from.data(), from.size_bytes());
  }
}

}  // namespace

PteModel::PteModel(PteProgram& program, const std::filesystem::path& tokenizer,
                   PhaseClock& clock)
    : program_(program), clock_(clock) {
  ReadMethods();
  ReadConstants(tokenizer);
  program_.Load("encoder");
  program_.Load("text_decoder");
  mel_.resize(mel_type_.elements());
  fed_.reserve(static_cast<size_t>(n_text_ctx_));
  logits_.resize(static_cast<size_t>(n_vocab_));
  sot_logits_.resize(logits_.size());
}

void PteModel::ReadMethods() {
  const PteMethod& encoder = program_.Method("encoder");
  const PteMethod& decoder = program_.Method("text_decoder");
  const auto wrong = [&](const PteMethod& method, std::string_view want) {
    std::vector<std::string> in, out;
    for (const PteValue& value : method.inputs) in.push_back(value.text());
    for (const PteValue& value : method.outputs) out.push_back(value.text());
    Fail(ErrorCode::kUnsupported, "{}: {} is ({}) -> ({}), want {}",
         program_.name(), method.name, fmt::join(in, ", "),
         fmt::join(out, ", "), want);
  };
  const auto is = [](const PteValue& value, size_t rank) {
    return value.tensor && value.tensor->shape.size() == rank;
  };
  if (encoder.inputs.size() != 1 || encoder.outputs.size() != 1 ||
      !is(encoder.inputs[0], 3) || !is(encoder.outputs[0], 3) ||
      !IsFloat(encoder.inputs[0].tensor->scalar) ||
      !IsFloat(encoder.outputs[0].tensor->scalar) ||
      encoder.inputs[0].tensor->shape[0] != 1 ||
      encoder.inputs[0].tensor->shape[2] != kWindowFrames ||
      encoder.inputs[0].tensor->shape[1] < 1 ||
      encoder.inputs[0].tensor->shape[1] > kMaxMels)
    wrong(encoder, "(float [1, n_mels, 3000]) -> (float [1, positions, d])");
  mel_type_ = *encoder.inputs[0].tensor;
  const PteTensorType& out = *encoder.outputs[0].tensor;
  const auto one_i64 = [&](const PteValue& value, size_t rank) {
    return is(value, rank) && value.tensor->scalar == PteScalar::kI64 &&
           value.tensor->elements() >= 1;
  };
  if (decoder.inputs.size() != 3 || decoder.outputs.empty() ||
      !one_i64(decoder.inputs[0], 2) || !is(decoder.inputs[1], 3) ||
      !IsFloat(decoder.inputs[1].tensor->scalar) ||
      decoder.inputs[1].tensor->shape != out.shape ||
      !one_i64(decoder.inputs[2], 1) || !decoder.outputs[0].tensor ||
      !IsFloat(decoder.outputs[0].tensor->scalar) ||
      decoder.outputs[0].tensor->shape.empty())
    wrong(decoder,
          fmt::format("(i64 [1, 1], float [{}], i64 [1]) -> (float [1, 1, V])",
                      fmt::join(out.shape, ", ")));
  states_type_ = *decoder.inputs[1].tensor;
  n_vocab_ = decoder.outputs[0].tensor->shape.back();
}

std::span<float> PteModel::mel() {
  clock_.Switch(Phase::kMel);
  return mel_;
}

void PteModel::Encode() {
  clock_.Switch(Phase::kEncode);
  fed_.clear();
  sot_index_ = -1;
  if (may_be_stale_ && counters_.windows > 0) program_.Unload("text_decoder");
  PteTensor input{mel_type_, mel_.data()};
  if (mel_type_.scalar != PteScalar::kF32) {
    FromFloats(mel_, mel_type_.scalar, converted_);
    input.data = converted_.data();
  }
  const std::vector<PteTensor> outputs =
      program_.Run("encoder", std::array{input});
  const PteTensor& out = outputs.at(0);
  if (out.type.shape != states_type_.shape)
    Fail(ErrorCode::kBadInput, "{}: encoder gave {}, want {}", program_.name(),
         out.type.text(), states_type_.text());
  // The decoder runs in other memory, and may want another type.
  if (out.type.scalar == states_type_.scalar) {
    const auto* bytes = static_cast<const std::byte*>(out.data);
    states_.assign(bytes,
                   bytes + out.type.elements() * SizeOf(out.type.scalar));
  } else {
    std::vector<float> floats(out.type.elements());
    ToFloats(out, floats);
    FromFloats(floats, states_type_.scalar, states_);
  }
  ++counters_.windows;
  clock_.Switch(Phase::kSampling);
}

std::span<float> PteModel::RunTextDecoder(std::span<const PteTensor> inputs) {
  const std::vector<PteTensor> outputs = program_.Run("text_decoder", inputs);
  const PteTensor& out = outputs.at(0);
  if (out.type.elements() < logits_.size() || !IsFloat(out.type.scalar))
    Fail(ErrorCode::kBadInput, "{}: text_decoder gave {}, want {} logits",
         program_.name(), out.type.text(), logits_.size());
  ToFloats(out, logits_);
  return logits_;
}

std::span<float> PteModel::Feed(int token) {
  SOTTO_CHECK(static_cast<int>(fed_.size()) < n_text_ctx_);
  SOTTO_CHECK(!states_.empty());
  const int64_t id = token, position = static_cast<int64_t>(fed_.size());
  const std::array inputs = {
      PteTensor{{PteScalar::kI64, {1, 1}}, &id},
      PteTensor{states_type_, states_.data()},
      PteTensor{{PteScalar::kI64, {1}}, &position},
  };
  const auto start = std::chrono::steady_clock::now();
  const std::span<float> logits = RunTextDecoder(inputs);
  const double ms = std::chrono::duration<double, std::milli>(
                        std::chrono::steady_clock::now() - start)
                        .count();
  if (position == 0) {
    ++counters_.first_steps;
    counters_.first_ms += ms;
  } else {
    counters_.step_ms.push_back(static_cast<float>(ms));
  }
  fed_.push_back(token);
  return logits;
}

std::span<float> PteModel::Prefill(std::span<const int> prompt, int sot_index,
                                   std::span<float>* sot_logits) {
  clock_.Switch(Phase::kPrompt);
  SOTTO_CHECK(!prompt.empty());
  // Rows of the cache depend on their token and those before it only, and the
  // cross K/V are still this window's.
  const auto differ =
      std::mismatch(prompt.begin(), prompt.end() - 1, fed_.begin(), fed_.end());
  auto common = static_cast<size_t>(differ.first - prompt.begin());
  if (sot_index >= 0 && sot_index != sot_index_)
    common = std::min(common, static_cast<size_t>(sot_index));
  fed_.resize(common);
  if (sot_index_ >= static_cast<int>(common)) sot_index_ = -1;
  counters_.prompt_tokens += static_cast<int64_t>(prompt.size());
  counters_.reused_tokens += static_cast<int64_t>(common);
  std::span<float> logits;
  for (size_t i = common; i < prompt.size(); ++i) {
    logits = Feed(prompt[i]);
    if (static_cast<int>(i) == sot_index) {
      std::copy(logits.begin(), logits.end(), sot_logits_.begin());
      sot_index_ = sot_index;
    }
  }
  if (sot_index >= 0 && sot_logits != nullptr) *sot_logits = sot_logits_;
  clock_.Switch(Phase::kSampling);
  return logits;
}

std::span<float> PteModel::Step(int token) {
  clock_.Switch(Phase::kDecode);
  const std::span<float> logits = Feed(token);
  ++counters_.decoded_tokens;
  clock_.Switch(Phase::kSampling);
  return logits;
}

}  // namespace sotto
