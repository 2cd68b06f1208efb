// SPDX-License-Identifier: MIT
// PhaseClock: where a run's time goes. Every moment belongs to exactly one
// phase, so the phases add up to the whole.
#pragma once

#include <array>
#include <chrono>

namespace sotto {

enum class Phase {
  kLoad,      // program, operators, tokenizer
  kAudio,     // decoding and resampling
  kMel,       // log-mel of the file and of its windows
  kEncode,    // method encoder
  kPrompt,    // text_decoder on prompts, cross K/V included
  kDecode,    // text_decoder on what was chosen
  kSampling,  // rules, choice, fallback tests, segments
  kOther,     // flags, output
};
inline constexpr size_t kPhases = 8;

class PhaseClock {
 public:
  // Time from now on belongs to `phase`. Returns the milliseconds that the
  // phase before it got just now.
  double Switch(Phase phase) {
    const auto now = std::chrono::steady_clock::now();
    const double ms =
        std::chrono::duration<double, std::milli>(now - since_).count();
    ms_[static_cast<size_t>(phase_)] += ms;
    phase_ = phase;
    since_ = now;
    return ms;
  }
  Phase phase() const { return phase_; }
  double ms(Phase phase) const { return ms_[static_cast<size_t>(phase)]; }
  double total_ms() const {
    return std::chrono::duration<double, std::milli>(since_ - start_).count();
  }

 private:
  std::chrono::steady_clock::time_point start_ =
      std::chrono::steady_clock::now();
  std::chrono::steady_clock::time_point since_ = start_;
  Phase phase_ = Phase::kOther;
  std::array<double, kPhases> ms_{};
};

}  // namespace sotto
