// SPDX-License-Identifier: MIT
// Log-mel spectrogram as openai-whisper computes it (whisper/audio.py): 400
// point periodic Hann window every 160 samples, centred, reflected at the
// ends, power, Slaney mel bands, log10 of at least 1e-10, clamped to 8 below
// the maximum of the whole file, (x + 4) / 4.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace sotto {

inline constexpr int kFftSize = 400;
inline constexpr int kHop = 160;  // 10 ms: one frame
inline constexpr int kSpectrum = kFftSize / 2 + 1;
inline constexpr int kWindowFrames = 3000;  // 30 s: what the encoder takes
inline constexpr int kMaxMels = 256;
inline constexpr float kSilenceLog = -10.0f;  // log10 of the least power

// Triangular bands on Slaney's mel scale, each of unit area in Hz, as
// librosa.filters.mel(sr=16000, n_fft=400, n_mels=n_mels) gives them; these
// are the tables in openai-whisper's assets. [n_mels][201], row-major. Throws
// kBadInput unless 1 <= n_mels <= kMaxMels.
std::vector<float> MelFilters(int n_mels);

// What the frame becomes once the maximum is known.
inline float NormalizeLogMel(float log10_mel, float maximum) {
  const float least = maximum - 8.0f;
  return ((log10_mel < least ? least : log10_mel) + 4.0f) / 4.0f;
}

// Samples in, raw log10-mel frames out, in pieces of any size: the same bits
// whatever the pieces. Frame f is centred on sample 160 f and comes out as
// soon as sample 160 f + 199 is there (frame 0 needs sample 200). One thread.
class LogMelStream {
 public:
  explicit LogMelStream(int n_mels);
  LogMelStream(LogMelStream&&) noexcept;
  LogMelStream& operator=(LogMelStream&&) noexcept;
  ~LogMelStream();

  // Appends the frames that `samples` complete to `out` ([frame][n_mels]).
  // NaN is taken as 0.
  void Push(std::span<const float> samples, std::vector<float>& out);
  // Appends the frames that still touch a sample, as if zeros followed for
  // ever. Every frame after them is kSilenceLog in all bands.
  void Finish(std::vector<float>& out);

  int n_mels() const;
  int64_t samples() const;  // pushed so far
  bool saw_nan() const;
  // The largest log10-mel so far, at least kSilenceLog (silence follows).
  float maximum() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sotto
