// SPDX-License-Identifier: MIT
// MelSource: the log-mel windows of a whole file, at any place and in any
// order, with memory that does not grow with the length. LiveLogMel: the same
// for sound that has not ended.
//
// The clamp needs the maximum of the whole file before the first window can be
// given. So the sound is read once; the raw frames go to memory, and beyond
// the first minute to a temporary file without a name (32 kB a second for 80
// bands: as much as the s16 samples themselves, and nothing is computed
// twice).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "audio/decode.h"
#include "audio/log_mel.h"
#include "audio/spool.h"
#include "base/function_ref.h"

namespace sotto {

// Immutable once made; several threads may read windows at the same time.
class MelSource {
 public:
  // Reads `reader` to its end; damage and warnings stay with the reader.
  MelSource(AudioReader& reader, int n_mels);
  // Reads samples at 16 kHz until `read` fills in none: `read` is given room
  // and returns how many samples it has put there.
  MelSource(FunctionRef<size_t(std::span<float>)> read, int n_mels);
  // From samples at 16 kHz; NaN is taken as 0.
  MelSource(std::span<const float> pcm, int n_mels);

  int n_mels() const { return n_mels_; }
  int64_t samples() const { return samples_; }
  double duration() const {
    return static_cast<double>(samples_) / kSampleRate;
  }
  // Frames of sound, one every 10 ms: samples() / 160, rounded down.
  int64_t content_frames() const { return samples_ / kHop; }
  bool saw_nan() const { return saw_nan_; }
  // Of the whole file, log10; what lies more than 8 below is clamped.
  float maximum() const { return maximum_; }

  // What openai's transcribe hands the encoder at frame `seek` >= 0: the frames
  // of sound from there on, at most 3000, then 0.0. `mel` is [n_mels][3000].
  void Window(int64_t seek, std::span<float> mel) const;
  // The same, but after the sound comes the log-mel of silence instead of 0.0.
  void PaddedWindow(int64_t seek, std::span<float> mel) const;
  // What openai's detect_language sees: the first 3000 frames of sound and
  // silence.
  void DetectionWindow(std::span<float> mel) const { PaddedWindow(0, mel); }

 private:
  explicit MelSource(int n_mels) : n_mels_(n_mels) {}
  // Takes over the frames ([frame][n_mels]) and empties `frames`.
  void Store(std::vector<float>& frames);
  void Finish(LogMelStream& stream, std::vector<float>& frames);
  void Fill(int64_t seek, int64_t end, float rest, std::span<float> mel) const;
  void ReadFrames(int64_t first, std::span<float> out) const;

  int n_mels_;
  int64_t samples_ = 0;
  bool saw_nan_ = false;
  float maximum_ = kSilenceLog;
  int64_t stored_frames_ = 0;
  std::vector<float> memory_;  // all frames, or those before the file's
  std::optional<SpoolFile> file_;
};

// Log-mel of sound as it comes in. There is no whole file yet, so the clamp is
// 8 below the *running maximum*: that of everything pushed so far. Once all of
// a file has been pushed, a window equals MelSource's; before that its quiet
// parts may lie lower than in the end. Keeps the last `keep_frames` frames.
// One thread.
class LiveLogMel {
 public:
  explicit LiveLogMel(int n_mels, int64_t keep_frames = 2 * kWindowFrames);

  void Push(std::span<const float> pcm);
  // The end of the sound: completes the last frames as if zeros followed.
  void Finish();

  // Frames that are there: [first_frame, frames). A frame comes 12.5 ms after
  // the middle of its sound.
  int64_t first_frame() const { return first_; }
  int64_t frames() const;
  float maximum() const { return stream_.maximum(); }
  // Frames from `seek` (>= first_frame()), at most 3000, then 0.0. `mel` is
  // [n_mels][3000]. Throws kBadInput for a frame no longer kept.
  void Window(int64_t seek, std::span<float> mel) const;

 private:
  LogMelStream stream_;
  int64_t keep_;
  int64_t first_ = 0;
  bool finished_ = false;
  std::vector<float> frames_;  // [frame][n_mels]
};

}  // namespace sotto
