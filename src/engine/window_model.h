// SPDX-License-Identifier: MIT
// WindowModel: one session running one engine's programs. Encodes a window,
// then answers for logits.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "engine/ahead_encoder.h"
#include "engine/engine.h"
#include "engine/speech_model.h"
#include "runtime/session.h"

namespace sotto {

// Wall time and calls per stage since the model was made. A window encoded
// ahead counts once it is used, with the time its run took.
struct StageTimes {
  std::array<double, kStages.size()> ms{};
  std::array<int64_t, kStages.size()> calls{};
  double total_ms() const { return ms[0] + ms[1] + ms[2] + ms[3]; }
};

// The cross K/V belong to the window encoded last.
class WindowModel : public SpeechModel {
 public:
  explicit WindowModel(Engine& engine);

  std::span<float> mel() override;
  // Runs encoder and cross_kv on mel().
  void Encode() override;
  // Room where the engine encodes ahead, see Engine::encodes_ahead.
  std::span<float> next_mel() override;
  void EncodeAhead() override;
  int n_text_ctx() const override { return engine_.spec().n_text_ctx; }
  int n_audio_ctx() const override { return engine_.spec().n_audio_ctx; }
  const Tokenizer& tokenizer() const override { return engine_.tokenizer(); }
  const SpecialTokens& special_tokens() const override {
    return engine_.special_tokens();
  }

  int vocab_size() const override;
  std::span<float> Prefill(std::span<const int> prompt, int sot_index,
                           std::span<float>* sot_logits) override;
  std::span<float> Step(int token) override;

  // The encoder's output, [n_audio_ctx][n_audio_state]; for tests and reports.
  std::span<const float> audio();
  Engine& engine() { return engine_; }
  int position() const { return position_; }
  const StageTimes& times() const { return times_; }
  AheadTimes ahead_times() const;
  Session& session() { return session_; }

 private:
  void RunTimed(Stage stage, const StageShape& shape);
  void Count(Stage stage, double ms);
  std::span<float> Audio();
  void SetInt(std::string_view name, std::span<const int> values);

  Engine& engine_;
  Session session_;
  StageTimes times_;
  int position_ = 0;
  AheadTimes last_ahead_;                // of one that is gone
  std::unique_ptr<AheadEncoder> ahead_;  // null where nothing is encoded ahead
};

}  // namespace sotto
