// SPDX-License-Identifier: MIT
#include "audio/log_mel.h"

#include <kiss_fftr.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "audio/mel_bands.h"
#include "base/error.h"

namespace sotto {
namespace {

constexpr double kRate = 16000;
constexpr int kHalf = kFftSize / 2;

// Slaney's scale: linear to 1 kHz (200/3 Hz a mel), logarithmic above (27
// steps for a factor of 6.4). Auditory Toolbox, as librosa's htk=False.
constexpr double kLinearStep = 200.0 / 3;
constexpr double kLogStart = 1000;
const double kLogStep = std::log(6.4) / 27;

double HzToMel(double hz) {
  if (hz < kLogStart) return hz / kLinearStep;
  return kLogStart / kLinearStep + std::log(hz / kLogStart) / kLogStep;
}

double MelToHz(double mel) {
  const double start = kLogStart / kLinearStep;
  if (mel < start) return mel * kLinearStep;
  return kLogStart * std::exp(kLogStep * (mel - start));
}

struct FreeFft {
  void operator()(kiss_fftr_state* p) const { kiss_fftr_free(p); }
};

std::array<float, kFftSize> HannWindow() {
  std::array<float, kFftSize> window{};
  for (int i = 0; i < kFftSize; ++i)
    window[i] = static_cast<float>(
        0.5 - 0.5 * std::cos(2 * std::numbers::pi * i / kFftSize));
  return window;
}

}  // namespace

std::vector<float> MelFilters(int n_mels) {
  if (n_mels < 1 || n_mels > kMaxMels)
    Fail(ErrorCode::kBadInput, "log-mel: {} bands, want 1 to {}", n_mels,
         kMaxMels);
  // Band m rises from edge m to m + 1 and falls to m + 2.
  std::vector<double> edges;
  for (int i = 0; i < n_mels + 2; ++i)
    edges.push_back(MelToHz(HzToMel(kRate / 2) * i / (n_mels + 1)));
  std::vector<float> filters(static_cast<size_t>(n_mels) * kSpectrum);
  for (int m = 0; m < n_mels; ++m) {
    const double area = 2 / (edges[m + 2] - edges[m]);
    for (int k = 0; k < kSpectrum; ++k) {
      const double hz = k * kRate / kFftSize;
      const double up = (hz - edges[m]) / (edges[m + 1] - edges[m]);
      const double down = (edges[m + 2] - hz) / (edges[m + 2] - edges[m + 1]);
      filters[static_cast<size_t>(m) * kSpectrum + k] =
          static_cast<float>(std::max(0.0, std::min(up, down)) * area);
    }
  }
  return filters;
}

class LogMelStream::Impl {
 public:
  explicit Impl(int n_mels)
      : bands_(n_mels),
        window_(HannWindow()),
        fft_(kiss_fftr_alloc(kFftSize, 0, nullptr, nullptr)) {
    if (fft_ == nullptr)
      Fail(ErrorCode::kOutOfMemory, "log-mel: no memory for the FFT");
  }

  void Push(std::span<const float> samples, std::vector<float>& out) {
    // In pieces, so that what is held here stays small.
    constexpr size_t kPiece = 16 * 1024;
    while (!samples.empty()) {
      const auto piece = samples.first(std::min(kPiece, samples.size()));
      samples = samples.subspan(piece.size());
      samples_ += static_cast<int64_t>(piece.size());
      const size_t before = held_.size();
      held_.resize(before + piece.size());
      bool nan = false;
      for (size_t i = 0; i < piece.size(); ++i) {
        const bool bad = piece[i] != piece[i];
        nan |= bad;
        held_[before + i] = bad ? 0.0f : piece[i];
      }
      saw_nan_ |= nan;
      Frames(out);
    }
  }

  void Finish(std::vector<float>& out) {
    if (samples_ == 0) return;
    // Zeros up to the last frame that sees a sample: f < (n + 200) / 160.
    const int64_t frames = (samples_ + kHalf + kHop - 1) / kHop;
    const int64_t end =
        std::max<int64_t>((frames - 1) * kHop + kHalf, kHalf + 1);
    held_.resize(held_.size() + static_cast<size_t>(end - samples_), 0.0f);
    Frames(out);
    SOTTO_CHECK(next_frame_ == frames);
  }

  MelBands bands_;
  int64_t samples_ = 0;
  bool saw_nan_ = false;
  float maximum_ = kSilenceLog;

 private:
  // Emits every frame whose samples are held, drops the samples no longer
  // needed.
  void Frames(std::vector<float>& out) {
    size_t at = 0;  // in held_: where the next frame begins
    if (next_frame_ == 0) {
      if (held_.size() < kHalf + 1) return;
      // Reflection about sample 0: x[-i] = x[i].
      std::vector<float> mirror(held_.begin() + 1, held_.begin() + kHalf + 1);
      std::ranges::reverse(mirror);
      held_.insert(held_.begin(), mirror.begin(), mirror.end());
    }
    while (at + kFftSize <= held_.size()) {
      const size_t count =
          std::min(kBandBatch, (held_.size() - at - kFftSize) / kHop + 1);
      for (size_t lane = 0; lane < count; ++lane)
        Power(std::span<const float, kFftSize>(held_.data() + at + lane * kHop,
                                               kFftSize),
              lane);
      const size_t before = out.size();
      out.resize(before + count * bands_.n_mels());
      maximum_ = std::max(
          maximum_, bands_.Log(power_, count, std::span(out).subspan(before)));
      at += count * kHop;
      next_frame_ += static_cast<int64_t>(count);
    }
    held_.erase(held_.begin(), held_.begin() + static_cast<ptrdiff_t>(at));
  }

  void Power(std::span<const float, kFftSize> samples, size_t lane) {
    std::array<float, kFftSize> windowed;
    for (int i = 0; i < kFftSize; ++i) windowed[i] = samples[i] * window_[i];
    std::array<kiss_fft_cpx, kSpectrum> spectrum;
    kiss_fftr(fft_.get(), windowed.data(), spectrum.data());
    for (int k = 0; k < kSpectrum; ++k)
      power_[k][lane] =
          spectrum[k].r * spectrum[k].r + spectrum[k].i * spectrum[k].i;
  }

  PowerBatch power_{};
  std::array<float, kFftSize> window_;
  std::unique_ptr<kiss_fftr_state, FreeFft> fft_;
  std::vector<float> held_;
  int64_t next_frame_ = 0;
};

LogMelStream::LogMelStream(int n_mels)
    : impl_(std::make_unique<Impl>(n_mels)) {}
LogMelStream::LogMelStream(LogMelStream&&) noexcept = default;
LogMelStream& LogMelStream::operator=(LogMelStream&&) noexcept = default;
LogMelStream::~LogMelStream() = default;

void LogMelStream::Push(std::span<const float> samples,
                        std::vector<float>& out) {
  impl_->Push(samples, out);
}
void LogMelStream::Finish(std::vector<float>& out) { impl_->Finish(out); }
int LogMelStream::n_mels() const { return impl_->bands_.n_mels(); }
int64_t LogMelStream::samples() const { return impl_->samples_; }
bool LogMelStream::saw_nan() const { return impl_->saw_nan_; }
float LogMelStream::maximum() const { return impl_->maximum_; }

}  // namespace sotto
