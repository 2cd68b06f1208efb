// SPDX-License-Identifier: MIT
#include "audio/resample.h"

extern "C" {
#include <libavutil/channel_layout.h>
#include <libavutil/frame.h>
#include <libswresample/swresample.h>
}

#include <algorithm>
#include <cmath>
#include <span>

#include "base/error.h"

namespace sotto::av {
namespace {

constexpr int kRate = 16000;
// Beyond these a small hostile file could ask for gigabytes of memory.
constexpr int kMinRate = 1000;
constexpr int kMaxRate = 6'000'000;  // DSD512 as bits is 22.6 MHz / 8 a byte
constexpr int kMaxChannels = 64;     // swresample's own limit

// Zeroes NaN, and brings what a cast to s16 cannot take (it would wrap round)
// to full scale. Returns whether there was a NaN.
template <typename T>
bool Clean(std::span<T> samples) {
  constexpr T kLimit = 32768;  // 90 dB over full scale
  bool nan = false;
  for (T& x : samples) {
    nan |= std::isnan(x);
    x = std::isnan(x) ? T{0} : std::clamp(x, -kLimit, kLimit);
  }
  return nan;
}

template <typename T>
bool CleanPlanes(AVFrame& frame, bool planar) {
  const int channels = frame.ch_layout.nb_channels;
  const auto samples = static_cast<size_t>(frame.nb_samples);
  bool nan = false;
  for (int plane = 0; plane < (planar ? channels : 1); ++plane) {
    void* const data = frame.extended_data[plane];
    nan |= Clean(std::span<T>(static_cast<T*>(data),
                              planar ? samples : samples * channels));
  }
  return nan;
}

bool CleanFrame(AVFrame& frame) {
  const auto format = static_cast<AVSampleFormat>(frame.format);
  const bool planar = av_sample_fmt_is_planar(format) != 0;
  const AVSampleFormat packed = av_get_packed_sample_fmt(format);
  if (packed != AV_SAMPLE_FMT_FLT && packed != AV_SAMPLE_FMT_DBL) return false;
  if (av_frame_make_writable(&frame) < 0) FailOutOfMemory();
  return packed == AV_SAMPLE_FMT_FLT ? CleanPlanes<float>(frame, planar)
                                     : CleanPlanes<double>(frame, planar);
}

}  // namespace

Resampler::Resampler(std::string name)
    : name_(std::move(name)), like_(Own(av_frame_alloc())) {}
Resampler::~Resampler() = default;

bool Resampler::Fits(const AVFrame& frame) const {
  return swr_ != nullptr && frame.format == like_->format &&
         frame.sample_rate == like_->sample_rate &&
         av_channel_layout_compare(&frame.ch_layout, &like_->ch_layout) == 0;
}

void Resampler::Begin(const AVFrame& frame) {
  const int channels = frame.ch_layout.nb_channels;
  if (frame.sample_rate < kMinRate || frame.sample_rate > kMaxRate)
    Fail(ErrorCode::kUnsupported, "{}: sample rate {} Hz, want {} to {}", name_,
         frame.sample_rate, kMinRate, kMaxRate);
  if (channels < 1 || channels > kMaxChannels)
    Fail(ErrorCode::kUnsupported, "{}: {} channels, want 1 to {}", name_,
         channels, kMaxChannels);
  like_->format = frame.format;
  like_->sample_rate = frame.sample_rate;
  if (av_channel_layout_copy(&like_->ch_layout, &frame.ch_layout) < 0)
    FailOutOfMemory();

  // A layout that the file does not name is taken as the usual one for so many
  // channels; where there is none, all channels count the same.
  AVChannelLayout in{};
  if (frame.ch_layout.order == AV_CHANNEL_ORDER_UNSPEC)
    av_channel_layout_default(&in, channels);
  else if (av_channel_layout_copy(&in, &frame.ch_layout) < 0)
    FailOutOfMemory();
  const bool nameless = in.order == AV_CHANNEL_ORDER_UNSPEC;
  AVChannelLayout mono = AV_CHANNEL_LAYOUT_MONO;  // not const in FFmpeg 5
  SwrContext* swr = nullptr;
  const int made = swr_alloc_set_opts2(
      &swr, &mono, AV_SAMPLE_FMT_S16, kRate, &in,
      static_cast<AVSampleFormat>(frame.format), frame.sample_rate, 0, nullptr);
  av_channel_layout_uninit(&in);
  swr_ = Own(made < 0 ? nullptr : swr);
  if (nameless) {
    const std::vector<double> equal(static_cast<size_t>(channels),
                                    1.0 / channels);
    swr_set_matrix(swr_.get(), equal.data(), channels);
  }
  const ErrorLine cause;
  if (const int code = swr_init(swr_.get()); code < 0) {
    swr_.reset();
    Fail(ErrorCode::kUnsupported,
         "{}: cannot bring {} channels of {} at {} Hz to 16 kHz mono: {}",
         name_, channels,
         av_get_sample_fmt_name(static_cast<AVSampleFormat>(frame.format)),
         frame.sample_rate, cause.Or(code));
  }
}

void Resampler::Drain(const uint8_t** planes, int samples,
                      std::vector<int16_t>& out) {
  const int room = swr_get_out_samples(swr_.get(), samples);
  if (room <= 0) return;
  const size_t before = out.size();
  out.resize(before + static_cast<size_t>(room));
  void* const data = out.data() + before;
  auto* plane = static_cast<uint8_t*>(data);
  const int made = swr_convert(swr_.get(), &plane, room, planes, samples);
  out.resize(before + static_cast<size_t>(std::max(made, 0)));
  if (made < 0)
    Fail(ErrorCode::kInternal, "{}: resampling failed: {}", name_,
         ErrorText(made));
}

void Resampler::Convert(AVFrame& frame, std::vector<int16_t>& out) {
  if (frame.nb_samples <= 0) return;
  if (!Fits(frame)) {
    Finish(out);
    Begin(frame);
  }
  saw_nan_ |= CleanFrame(frame);
  // note: swr takes const planes, but C's rules want the cast spelt out.
  Drain(const_cast<const uint8_t**>(frame.extended_data), frame.nb_samples,
        out);
}

void Resampler::Finish(std::vector<int16_t>& out) {
  if (swr_ == nullptr) return;
  Drain(nullptr, 0, out);
  swr_.reset();
}

}  // namespace sotto::av
