// SPDX-License-Identifier: MIT
// Files of sound, one after another, the next one read early where that helps.
#pragma once

#include <cstddef>
#include <exception>
#include <filesystem>
#include <memory>
#include <span>

#include "audio/decode.h"
#include "audio/mel_source.h"

namespace sotto::cli {

// A file and its log-mel, read to the end. Throws what reading throws, and
// kCancelled where a signal has asked to stop.
struct Recording {
  Recording(const std::filesystem::path& file, const AudioOptions& part,
            int n_mels)
      : reader(file, part),
        sound([this](std::span<float> out) { return Read(out); }, n_mels) {}
  AudioReader reader;
  MelSource sound;

 private:
  size_t Read(std::span<float> out);
};

// Holds one recording at most.
class RecordingReader {
 public:
  RecordingReader(const AudioOptions& part, int n_mels)
      : part_(part), n_mels_(n_mels) {}

  // The file, read now unless it already was. Throws what reading throws.
  std::unique_ptr<Recording> Take(const std::filesystem::path& file);
  // Reads the file and keeps it for Take. Null for stdin and pipes, which may
  // still be growing, and where it cannot be read: Take says why.
  const MelSource* ReadEarly(const std::filesystem::path& file);

 private:
  AudioOptions part_;
  int n_mels_;
  std::filesystem::path file_;
  std::unique_ptr<Recording> recording_;
  std::exception_ptr error_;
};

}  // namespace sotto::cli
