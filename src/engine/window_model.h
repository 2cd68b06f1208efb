// SPDX-License-Identifier: MIT
// WindowModel: one session running one engine's programs. Encodes a window,
// then answers for logits.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <span>
#include <vector>

#include "decode/search.h"
#include "engine/engine.h"
#include "runtime/session.h"

namespace sotto {

// Wall time and calls per stage since the model was made.
struct StageTimes {
  std::array<double, kStages.size()> ms{};
  std::array<int64_t, kStages.size()> calls{};
  double total_ms() const { return ms[0] + ms[1] + ms[2] + ms[3]; }
};

// Used by one thread at a time. The cross K/V belong to the window encoded
// last; nothing can decode against an older one.
class WindowModel : public LogitSource {
 public:
  explicit WindowModel(Engine& engine);

  // Where the next window's log-mel goes: [n_mels][3000].
  std::span<float> mel();
  // Runs encoder and cross_kv on mel().
  void Encode();

  int vocab_size() const override;
  std::span<float> Prefill(std::span<const int> prompt, int sot_index,
                           std::span<float>* sot_logits) override;
  std::span<float> Step(int token) override;

  // The encoder's output, [n_audio_ctx][n_audio_state]; for tests and reports.
  std::span<const float> audio();
  Engine& engine() { return engine_; }
  int position() const { return position_; }
  const StageTimes& times() const { return times_; }
  Session& session() { return session_; }

 private:
  void RunTimed(Stage stage, const StageShape& shape);
  void SetInt(std::string_view name, std::span<const int> values);

  Engine& engine_;
  Session session_;
  StageTimes times_;
  int position_ = 0;
};

}  // namespace sotto
