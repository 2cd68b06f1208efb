// SPDX-License-Identifier: MIT
#include "audio/mel_source.h"

#include <algorithm>

#include "base/error.h"

namespace sotto {
namespace {

constexpr int64_t kMemoryFrames = 6000;  // 60 s: 1.9 MB for 80 bands
constexpr int kBlockFrames = 64;

// [frames][n_mels] raw to columns `at`... of [n_mels][3000] normalised.
void Place(std::span<const float> frames, int n_mels, float maximum, size_t at,
           std::span<float> mel) {
  const size_t n = frames.size() / n_mels;
  for (int m = 0; m < n_mels; ++m) {
    float* const row = mel.data() + static_cast<size_t>(m) * kWindowFrames + at;
    for (size_t f = 0; f < n; ++f)
      row[f] = NormalizeLogMel(frames[f * n_mels + m], maximum);
  }
}

void CheckWindow(int64_t seek, int n_mels, std::span<float> mel) {
  SOTTO_CHECK(seek >= 0);
  SOTTO_CHECK(mel.size() == static_cast<size_t>(n_mels) * kWindowFrames);
}

}  // namespace

MelSource::MelSource(AudioReader& reader, int n_mels)
    : MelSource([&](std::span<float> out) { return reader.Read(out); },
                n_mels) {}

MelSource::MelSource(FunctionRef<size_t(std::span<float>)> read, int n_mels)
    : MelSource(n_mels) {
  LogMelStream stream(n_mels);
  std::vector<float> block(size_t{16} * 1024);
  std::vector<float> frames;
  while (const size_t n = read(block)) {
    stream.Push(std::span(block).first(n), frames);
    Store(frames);
  }
  Finish(stream, frames);
}

MelSource::MelSource(std::span<const float> pcm, int n_mels)
    : MelSource(n_mels) {
  LogMelStream stream(n_mels);
  std::vector<float> frames;
  while (!pcm.empty()) {
    const auto block = pcm.first(std::min<size_t>(pcm.size(), 16 * 1024));
    pcm = pcm.subspan(block.size());
    stream.Push(block, frames);
    Store(frames);
  }
  Finish(stream, frames);
}

void MelSource::Finish(LogMelStream& stream, std::vector<float>& frames) {
  stream.Finish(frames);
  Store(frames);
  samples_ = stream.samples();
  saw_nan_ = stream.saw_nan();
  maximum_ = stream.maximum();
}

void MelSource::Store(std::vector<float>& frames) {
  const auto count = static_cast<int64_t>(frames.size()) / n_mels_;
  if (!file_.has_value() && stored_frames_ + count > kMemoryFrames)
    file_.emplace();
  if (file_.has_value())
    file_->Append(std::as_bytes(std::span(frames)));
  else
    memory_.insert(memory_.end(), frames.begin(), frames.end());
  stored_frames_ += count;
  frames.clear();
}

void MelSource::ReadFrames(int64_t first, std::span<float> out) const {
  const auto at = static_cast<size_t>(first) * n_mels_;
  const size_t held =
      at < memory_.size() ? std::min(memory_.size() - at, out.size()) : 0;
  std::copy_n(
      memory_.begin() + static_cast<ptrdiff_t>(std::min(at, memory_.size())),
      held, out.begin());
  if (held == out.size()) return;
  SOTTO_CHECK(file_.has_value());
  const auto rest = std::as_writable_bytes(out.subspan(held));
  const uint64_t offset = (at + held - memory_.size()) * sizeof(float);
  SOTTO_CHECK(file_->Read(offset, rest) == rest.size());
}

void MelSource::Fill(int64_t seek, int64_t end, float rest,
                     std::span<float> mel) const {
  CheckWindow(seek, n_mels_, mel);
  std::vector<float> block(static_cast<size_t>(kBlockFrames) * n_mels_);
  end = std::min(end, seek + kWindowFrames);
  int64_t frame = seek;
  while (frame < end) {
    const int64_t n = std::min<int64_t>(kBlockFrames, end - frame);
    const auto part = std::span(block).first(static_cast<size_t>(n) * n_mels_);
    ReadFrames(frame, part);
    Place(part, n_mels_, maximum_, static_cast<size_t>(frame - seek), mel);
    frame += n;
  }
  for (int m = 0; m < n_mels_; ++m)
    std::fill(mel.begin() + static_cast<ptrdiff_t>(m) * kWindowFrames +
                  (frame - seek),
              mel.begin() + static_cast<ptrdiff_t>(m + 1) * kWindowFrames,
              rest);
}

void MelSource::Window(int64_t seek, std::span<float> mel) const {
  Fill(seek, content_frames(), 0.0f, mel);
}

void MelSource::PaddedWindow(int64_t seek, std::span<float> mel) const {
  Fill(seek, stored_frames_, NormalizeLogMel(kSilenceLog, maximum_), mel);
}

LiveLogMel::LiveLogMel(int n_mels, int64_t keep_frames)
    : stream_(n_mels), keep_(std::max<int64_t>(keep_frames, kWindowFrames)) {}

int64_t LiveLogMel::frames() const {
  const int64_t all =
      first_ + static_cast<int64_t>(frames_.size()) / stream_.n_mels();
  // As in a file, the frames past the last whole 10 ms do not count.
  return finished_ ? std::min(all, stream_.samples() / kHop) : all;
}

void LiveLogMel::Push(std::span<const float> pcm) {
  SOTTO_CHECK(!finished_);
  const int64_t n_mels = stream_.n_mels();
  while (!pcm.empty()) {
    const auto block = pcm.first(std::min<size_t>(pcm.size(), 16 * 1024));
    pcm = pcm.subspan(block.size());
    stream_.Push(block, frames_);
    const int64_t held = static_cast<int64_t>(frames_.size()) / n_mels;
    if (held < 2 * keep_) continue;  // so that moving is rare
    frames_.erase(
        frames_.begin(),
        frames_.begin() + static_cast<ptrdiff_t>((held - keep_) * n_mels));
    first_ += held - keep_;
  }
}

void LiveLogMel::Finish() {
  if (finished_) return;
  stream_.Finish(frames_);
  finished_ = true;
}

void LiveLogMel::Window(int64_t seek, std::span<float> mel) const {
  const int n_mels = stream_.n_mels();
  CheckWindow(seek, n_mels, mel);
  if (seek < first_)
    Fail(ErrorCode::kBadInput, "live log-mel: frame {}, want {} or later", seek,
         first_);
  std::ranges::fill(mel, 0.0f);
  const int64_t end = std::min(frames(), seek + kWindowFrames);
  if (end <= seek) return;
  Place(
      std::span(frames_).subspan(static_cast<size_t>((seek - first_) * n_mels),
                                 static_cast<size_t>((end - seek) * n_mels)),
      n_mels, maximum(), 0, mel);
}

}  // namespace sotto
