// SPDX-License-Identifier: MIT
// AudioReader: any file that libav opens, as 16 kHz mono samples.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace sotto {

inline constexpr int kSampleRate = 16000;

struct AudioOptions {
  double offset_s = 0;    // skipped at the start, to the sample
  double duration_s = 0;  // read after that at most; 0: to the end
  int stream = -1;  // which of the audio streams, from 0; -1: libav's choice
};

// Samples equal to those of OpenAI's load_audio: swresample to 16 kHz mono
// s16, then divided by 32768, so they lie in [-1, 1). Memory does not grow
// with the length. Owned and used by one thread at a time.
//
// Only files and pipes are read, only by demuxers on a list of container and
// audio formats; nothing that stands inside a file is opened.
class AudioReader {
 public:
  // "-" is standard input. Throws one-line errors: kNotFound for a missing
  // file; kBadInput for a folder, an empty file, no sound in it, a format not
  // on the list, or options out of range; kUnsupported for a missing decoder.
  explicit AudioReader(const std::filesystem::path& path,
                       const AudioOptions& options = {});
  AudioReader(AudioReader&&) noexcept;
  AudioReader& operator=(AudioReader&&) noexcept;
  ~AudioReader();

  // Fills `out` with the next samples and returns how many: fewer than
  // out.size() only at the end, 0 from then on. Damage in the file is no
  // exception: what decodes is read, and damaged() tells at the end.
  size_t Read(std::span<float> out);

  // True once a part of the sound was found missing or undecodable: cut off,
  // checksum wrong, an I/O error. Final after Read has returned 0.
  bool damaged() const { return !damage().empty(); }
  // The first damage, one line: "talk.flac: damaged near 12.3 s: ...".
  const std::string& damage() const;
  // One line each, such as "talk.wav: NaN samples, taken as 0".
  const std::vector<std::string>& warnings() const;

  // As it stands in messages: the path, or "stdin".
  const std::string& name() const;
  // What the container says of its length in seconds, before any offset; 0
  // where it does not say. Often inexact: for progress bars only.
  double declared_duration() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

// The whole of `path` in memory: for short clips and tests. Throws kBadInput
// with the damage where there is any.
std::vector<float> ReadAudio(const std::filesystem::path& path,
                             const AudioOptions& options = {});

}  // namespace sotto
