// SPDX-License-Identifier: MIT
// Decoded frames of any rate, format and channels to 16 kHz mono s16, with the
// defaults of FFmpeg's aresample filter, which is what OpenAI's load_audio
// ("ffmpeg -f s16le -ac 1 -acodec pcm_s16le -ar 16000") runs.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "audio/av.h"

namespace sotto::av {

// One stream, one thread. A frame unlike its predecessor (streams may change
// in the middle) ends the old conversion and begins a new one.
class Resampler {
 public:
  // `name` stands in error messages.
  explicit Resampler(std::string name);
  Resampler(const Resampler&) = delete;
  Resampler& operator=(const Resampler&) = delete;
  ~Resampler();

  // Appends what `frame` gives to `out`. NaN samples of `frame` are set to 0
  // in place. Throws kUnsupported for a rate or channel count out of reach.
  void Convert(AVFrame& frame, std::vector<int16_t>& out);
  // Appends what the filter still holds; afterwards a new stream may begin.
  void Finish(std::vector<int16_t>& out);
  bool saw_nan() const { return saw_nan_; }

 private:
  bool Fits(const AVFrame& frame) const;
  void Begin(const AVFrame& frame);
  void Drain(const uint8_t** planes, int samples, std::vector<int16_t>& out);

  std::string name_;
  Owner<SwrContext> swr_;
  // Format, rate and channels of the conversion at hand, without samples.
  Owner<AVFrame> like_;
  bool saw_nan_ = false;
};

}  // namespace sotto::av
