// SPDX-License-Identifier: MIT
#include "apps/cli/recording.h"

#include <utility>

#include "base/error.h"
#include "base/stop_signal.h"

namespace sotto::cli {

size_t Recording::Read(std::span<float> out) {
  if (StopAsked()) Fail(ErrorCode::kCancelled, "{}: stopped", reader.name());
  return reader.Read(out);
}

std::unique_ptr<Recording> RecordingReader::Take(
    const std::filesystem::path& file) {
  if (file.empty())
    Fail(ErrorCode::kBadInput, "'': no name of a file, want one with sound");
  std::unique_ptr<Recording> recording = std::move(recording_);
  const std::exception_ptr error = std::exchange(error_, nullptr);
  const bool early = recording != nullptr || error != nullptr;
  if (!early || file != file_)
    return std::make_unique<Recording>(file, part_, n_mels_);
  if (error != nullptr) std::rethrow_exception(error);
  return recording;
}

const MelSource* RecordingReader::ReadEarly(const std::filesystem::path& file) {
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(file, ignored)) return nullptr;
  file_ = file;
  recording_ = nullptr;
  error_ = nullptr;
  try {
    recording_ = std::make_unique<Recording>(file, part_, n_mels_);
  } catch (...) {
    error_ = std::current_exception();
  }
  return recording_ != nullptr ? &recording_->sound : nullptr;
}

}  // namespace sotto::cli
