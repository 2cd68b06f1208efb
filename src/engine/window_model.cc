// SPDX-License-Identifier: MIT
#include "engine/window_model.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"

namespace sotto {
namespace {

// Does no step of the program use the cores that decode?
bool LeavesAlone(const Program& program, std::string_view cpu) {
  return std::none_of(
      program.graph().nodes.begin(), program.graph().nodes.end(),
      [&](const ir::Node& node) { return node.backend == cpu; });
}

}  // namespace

WindowModel::WindowModel(Engine& engine) : engine_(engine) {
  // Every buffer the stages need is made now, so that decoding makes none.
  session_.Prepare(*engine.ProgramFor(Stage::kEncoder, {}));
  session_.Prepare(*engine.ProgramFor(Stage::kCrossKv, {}));
  session_.Io("logits", 2 * sizeof(float) * static_cast<size_t>(vocab_size()));
  if (engine_.encodes_ahead()) {
    const auto encoder = engine_.ProgramFor(Stage::kEncoder, {});
    if (LeavesAlone(*encoder, engine_.backend().name()))
      ahead_ = std::make_unique<AheadEncoder>(engine_.spec(), *encoder);
  }
}

std::span<float> WindowModel::mel() {
  const size_t values = static_cast<size_t>(engine_.spec().n_mels) * 3000;
  std::byte* data = session_.Io("mel", values * sizeof(float));
  return {static_cast<float*>(static_cast<void*>(data)), values};
}

std::span<float> WindowModel::next_mel() {
  return ahead_ != nullptr ? ahead_->mel() : std::span<float>();
}

AheadTimes WindowModel::ahead_times() const {
  return ahead_ != nullptr ? ahead_->times() : last_ahead_;
}

void WindowModel::EncodeAhead() {
  SOTTO_CHECK(ahead_ != nullptr);
  ahead_->Start(engine_.ProgramFor(Stage::kEncoder, {}));
}

std::span<const float> WindowModel::audio() { return Audio(); }

std::span<float> WindowModel::Audio() {
  const size_t values = static_cast<size_t>(engine_.spec().n_audio_ctx) *
                        static_cast<size_t>(engine_.spec().n_audio_state);
  std::byte* data = session_.Io("audio", values * sizeof(float));
  return {static_cast<float*>(static_cast<void*>(data)), values};
}

void WindowModel::SetInt(std::string_view name, std::span<const int> values) {
  std::memcpy(session_.Io(name, values.size_bytes()), values.data(),
              values.size_bytes());
}

void WindowModel::RunTimed(Stage stage, const StageShape& shape) {
  const auto program = engine_.ProgramFor(stage, shape);
  const auto start = std::chrono::steady_clock::now();
  session_.Run(*program, engine_.pool());
  const std::chrono::duration<double, std::milli> took =
      std::chrono::steady_clock::now() - start;
  Count(stage, took.count());
}

void WindowModel::Count(Stage stage, double ms) {
  const auto index = static_cast<size_t>(stage);
  times_.ms[index] += ms;
  ++times_.calls[index];
}

void WindowModel::Encode() {
  try {
    const std::optional<double> done =
        ahead_ != nullptr ? ahead_->Take(mel(), Audio()) : std::nullopt;
    if (done)
      Count(Stage::kEncoder, *done);
    else
      RunTimed(Stage::kEncoder, {});
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kDevice) throw;
    // The window is still in mel(): the CPU encodes it, and all that follow.
    engine_.FallBack(error.what());
    RunTimed(Stage::kEncoder, {});
  }
  if (ahead_ != nullptr && !engine_.encodes_ahead()) {
    last_ahead_ = ahead_->times();
    ahead_ = nullptr;
  }
  SetInt("zero", std::array{0});
  SetInt("slot", std::array{0});
  RunTimed(Stage::kCrossKv, {});
}

int WindowModel::vocab_size() const { return engine_.spec().n_vocab; }

std::span<float> WindowModel::Prefill(std::span<const int> prompt,
                                      int sot_index,
                                      std::span<float>* sot_logits) {
  const int tokens = static_cast<int>(prompt.size());
  SOTTO_CHECK(tokens > 0 && tokens <= engine_.spec().n_text_ctx);
  const bool two = sot_index >= 0 && sot_index != tokens - 1;
  const std::array<int, 2> rows = {two ? sot_index : tokens - 1, tokens - 1};
  SetInt("tokens", prompt);
  SetInt("pos", std::array{0});
  SetInt("slot", std::array{0});
  SetInt("rows", std::span(rows).first(two ? 2 : 1));
  RunTimed(Stage::kPrefill, {.tokens = tokens, .logit_rows = two ? 2 : 1});
  position_ = tokens;

  const size_t vocab = static_cast<size_t>(vocab_size());
  std::byte* data = session_.Io("logits", 2 * vocab * sizeof(float));
  const std::span<float> logits(static_cast<float*>(static_cast<void*>(data)),
                                (two ? 2 : 1) * vocab);
  if (sot_index >= 0 && sot_logits != nullptr)
    *sot_logits = logits.first(vocab);
  return logits.last(vocab);
}

std::span<float> WindowModel::Step(int token) {
  SOTTO_CHECK(position_ < engine_.spec().n_text_ctx);
  SetInt("tokens", std::array{token});
  SetInt("pos", std::array{position_});
  RunTimed(Stage::kDecode, {.kv_extent = position_});
  ++position_;
  const size_t vocab = static_cast<size_t>(vocab_size());
  std::byte* data = session_.Io("logits", vocab * sizeof(float));
  return {static_cast<float*>(static_cast<void*>(data)), vocab};
}

}  // namespace sotto
