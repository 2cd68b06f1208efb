// SPDX-License-Identifier: MIT
#include "audio/decode.h"

extern "C" {
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
}

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <string_view>
#include <utility>

#include "audio/av.h"
#include "audio/integrity.h"
#include "audio/resample.h"
#include "audio/source.h"
#include "base/error.h"

namespace sotto {
namespace {

// Containers and raw streams with sound, by libav's names. Not here: whatever
// opens other files (hls, dash, concat, imf, sdp, image2, ...), devices, tune
// formats that run a synthesizer, subtitles and pictures.
constexpr std::string_view kDemuxers =
    "|aac|ac3|aiff|amr|ape|asf|au|avi|caf|dsf|dss|dts|dtshd|eac3|flac|flv|"
    "iff|ircam|live_flv|loas|matroska,webm|mov,mp4,m4a,3gp,3g2,mj2|mp3|mpc|"
    "mpc8|mpeg|mpegts|mxf|nistsphere|nut|ogg|oma|qcp|rm|sox|tak|truehd|tta|"
    "voc|w64|wav|wtv|wv|xwma|";

constexpr uint64_t kSpoolLimit = uint64_t{8} << 30;

int64_t SamplesOf(double seconds, const char* what) {
  constexpr double kMost = 1e9;  // 31 years
  if (!(seconds >= 0) || seconds > kMost)
    Fail(ErrorCode::kBadInput, "{}: {} s, want 0 to {}", what, seconds, kMost);
  return std::llround(seconds * kSampleRate);
}

int RefuseToOpen(AVFormatContext* context, AVIOContext** io, const char* url,
                 int flags, AVDictionary** options) {
  (void)context, (void)io, (void)flags, (void)options;
  av_log(nullptr, AV_LOG_ERROR, "the file wants to open %.100s: refused\n",
         url);
  return AVERROR(EACCES);
}

}  // namespace

class AudioReader::Impl {
 public:
  Impl(const std::filesystem::path& path, const AudioOptions& options);
  size_t Read(std::span<float> out);

  av::Source source_;
  const std::string& damage() const { return integrity_->damage(); }
  std::vector<std::string> warnings_;
  double declared_duration_ = 0;

 private:
  void OpenContainer();
  void OpenStream(int wanted);
  // Decodes until there is something in pcm_ or the end is reached.
  void Fill();
  // One packet into the decoder; at the end of the file, the flush.
  void FeedDecoder();
  bool TakeFrame();
  std::string Streams() const;

  std::optional<av::Integrity> integrity_;
  av::Owner<AVFormatContext> container_;
  av::Owner<AVCodecContext> decoder_;
  av::Owner<AVPacket> packet_;
  av::Owner<AVFrame> frame_;
  av::Resampler resampler_;
  AVStream* stream_ = nullptr;
  int64_t skip_ = 0;
  int64_t left_ = std::numeric_limits<int64_t>::max();
  std::vector<int16_t> pcm_;
  size_t pcm_read_ = 0;
  int errors_in_row_ = 0;
  bool flushing_ = false;
  bool ended_ = false;
};

AudioReader::Impl::Impl(const std::filesystem::path& path,
                        const AudioOptions& options)
    : source_(path), resampler_(source_.name()) {
  skip_ = SamplesOf(options.offset_s, "offset");
  if (const int64_t most = SamplesOf(options.duration_s, "duration"); most > 0)
    left_ = most;
  av::UseOurLog();
  packet_ = av::Own(av_packet_alloc());
  frame_ = av::Own(av_frame_alloc());
  source_.SpoolIfIndexMayComeLast(kSpoolLimit);
  OpenContainer();
  OpenStream(options.stream);
}

void AudioReader::Impl::OpenContainer() {
  const std::string& name = source_.name();
  const AVInputFormat* format = nullptr;
  const av::ErrorLine cause;
  // note: libav gets no file name, so an extension cannot talk it into a
  // format that the bytes do not show.
  const int probed =
      av_probe_input_buffer2(source_.io(), &format, "", nullptr, 0, 0);
  if (probed < 0 || format == nullptr)
    Fail(ErrorCode::kBadInput,
         "{}: no audio or video format recognised, want a file with sound",
         name);
  if (kDemuxers.find(fmt::format("|{}|", format->name)) == kDemuxers.npos)
    Fail(ErrorCode::kBadInput,
         "{}: looks like {}, which is not opened, want a file with sound", name,
         format->long_name);
  AVFormatContext* context = avformat_alloc_context();
  if (context == nullptr) av::FailOutOfMemory();
  context->pb = source_.io();
  context->io_open = RefuseToOpen;
  AVDictionary* settings = nullptr;
  av_dict_set(&settings, "protocol_whitelist", "none", 0);
  av_dict_set(&settings, "format_whitelist", format->name, 0);
  // note: on failure this frees `context` itself.
  const int opened = avformat_open_input(&context, "", format, &settings);
  av_dict_free(&settings);
  if (opened < 0)
    Fail(ErrorCode::kBadInput, "{}: cannot be read as {}: {}", name,
         format->long_name, cause.Or(opened));
  container_ = av::Own(context);
  integrity_.emplace(source_, *container_);
}

std::string AudioReader::Impl::Streams() const {
  int video = 0;
  for (unsigned i = 0; i < container_->nb_streams; ++i)
    video += container_->streams[i]->codecpar->codec_type == AVMEDIA_TYPE_VIDEO;
  const int other = static_cast<int>(container_->nb_streams) - video;
  if (video + other == 0) return "no stream at all";
  std::string text;
  const auto add = [&text](int n, const char* kind) {
    if (n > 0)
      text += fmt::format("{}{} {} stream{}", text.empty() ? "" : " and ", n,
                          kind, n == 1 ? "" : "s");
  };
  add(video, "video");
  add(other, "other");
  return text;
}

void AudioReader::Impl::OpenStream(int wanted) {
  const std::string& name = source_.name();
  const av::ErrorLine cause;
  if (const int code = avformat_find_stream_info(container_.get(), nullptr);
      code < 0)
    Fail(ErrorCode::kBadInput, "{}: cannot be read as {}: {}", name,
         container_->iformat->long_name, cause.Or(code));
  std::vector<int> audio;
  for (unsigned i = 0; i < container_->nb_streams; ++i)
    if (container_->streams[i]->codecpar->codec_type == AVMEDIA_TYPE_AUDIO)
      audio.push_back(static_cast<int>(i));
  if (audio.empty())
    Fail(ErrorCode::kBadInput,
         "{}: no audio stream, found {}, want a file with sound", name,
         Streams());
  if (wanted >= static_cast<int>(audio.size()))
    Fail(ErrorCode::kBadInput, "{}: audio stream {}, want 0 to {}", name,
         wanted, audio.size() - 1);
  int index = wanted >= 0
                  ? audio[static_cast<size_t>(wanted)]
                  : av_find_best_stream(container_.get(), AVMEDIA_TYPE_AUDIO,
                                        -1, -1, nullptr, 0);
  if (index < 0) index = audio.front();
  stream_ = container_->streams[index];
  for (unsigned i = 0; i < container_->nb_streams; ++i)
    if (static_cast<int>(i) != index)
      container_->streams[i]->discard = AVDISCARD_ALL;

  integrity_->ChooseStream(*stream_);

  const AVCodecParameters& parameters = *stream_->codecpar;
  const AVCodec* codec = avcodec_find_decoder(parameters.codec_id);
  if (codec == nullptr)
    Fail(ErrorCode::kUnsupported, "{}: no decoder for audio codec {}", name,
         avcodec_get_name(parameters.codec_id));
  decoder_ = av::Own(avcodec_alloc_context3(codec));
  if (avcodec_parameters_to_context(decoder_.get(), &parameters) < 0)
    av::FailOutOfMemory();
  decoder_->pkt_timebase = stream_->time_base;
  decoder_->thread_count = 1;
  if (parameters.codec_id == AV_CODEC_ID_FLAC)
    decoder_->err_recognition |= AV_EF_CRCCHECK | AV_EF_EXPLODE;
  if (const int code = avcodec_open2(decoder_.get(), codec, nullptr); code < 0)
    Fail(ErrorCode::kBadInput, "{}: cannot decode {}: {}", name, codec->name,
         cause.Or(code));

  if (container_->duration > 0)
    declared_duration_ =
        static_cast<double>(container_->duration) / AV_TIME_BASE;
}

void AudioReader::Impl::FeedDecoder() {
  const av::ErrorLine cause;
  int code = av_read_frame(container_.get(), packet_.get());
  if (code < 0) {
    if (code != AVERROR_EOF || !cause.line().empty())
      integrity_->OnReadError(code == AVERROR_EOF ? "" : cause.Or(code),
                              cause.line());
    flushing_ = true;
    avcodec_send_packet(decoder_.get(), nullptr);
    return;
  }
  if (packet_->stream_index == stream_->index) {
    integrity_->OnPacket(*packet_, cause.line());
    code = avcodec_send_packet(decoder_.get(), packet_.get());
    if (code < 0 && code != AVERROR(EAGAIN))
      integrity_->OnDecodeError(cause.Or(code));
  }
  av_packet_unref(packet_.get());
}

bool AudioReader::Impl::TakeFrame() {
  const av::ErrorLine cause;
  const int code = avcodec_receive_frame(decoder_.get(), frame_.get());
  if (code == AVERROR(EAGAIN)) return false;
  if (code < 0 && code != AVERROR_EOF)
    integrity_->OnDecodeError(cause.Or(code));
  // A decoder that fails at every call of the final flush would never end.
  constexpr int kMostErrors = 16;
  errors_in_row_ = code < 0 ? errors_in_row_ + 1 : 0;
  const bool stuck = errors_in_row_ >= kMostErrors;
  if (code == AVERROR_EOF || (stuck && flushing_)) {
    ended_ = true;
    resampler_.Finish(pcm_);
    integrity_->OnEnd();
    return true;
  }
  if (code < 0) return !stuck;
  integrity_->OnFrame(*frame_);
  const bool saw_nan = resampler_.saw_nan();
  resampler_.Convert(*frame_, pcm_);
  if (resampler_.saw_nan() && !saw_nan)
    warnings_.push_back(source_.name() + ": NaN samples, taken as 0");
  av_frame_unref(frame_.get());
  return true;
}

void AudioReader::Impl::Fill() {
  pcm_.clear();
  pcm_read_ = 0;
  while (pcm_.empty() && !ended_)
    if (!TakeFrame() && !flushing_) FeedDecoder();
}

size_t AudioReader::Impl::Read(std::span<float> out) {
  size_t done = 0;
  while (done < out.size() && left_ > 0) {
    if (pcm_read_ == pcm_.size()) {
      if (ended_) break;
      Fill();
      continue;
    }
    const size_t here = pcm_.size() - pcm_read_;
    if (skip_ > 0) {
      const size_t n =
          static_cast<size_t>(std::min(skip_, static_cast<int64_t>(here)));
      skip_ -= static_cast<int64_t>(n);
      pcm_read_ += n;
      continue;
    }
    const size_t n = static_cast<size_t>(std::min(
        left_, static_cast<int64_t>(std::min(here, out.size() - done))));
    for (size_t i = 0; i < n; ++i)
      out[done + i] = static_cast<float>(pcm_[pcm_read_ + i]) / 32768.0f;
    done += n;
    pcm_read_ += n;
    left_ -= static_cast<int64_t>(n);
  }
  return done;
}

AudioReader::AudioReader(const std::filesystem::path& path,
                         const AudioOptions& options)
    : impl_(std::make_unique<Impl>(path, options)) {}
AudioReader::AudioReader(AudioReader&&) noexcept = default;
AudioReader& AudioReader::operator=(AudioReader&&) noexcept = default;
AudioReader::~AudioReader() = default;

size_t AudioReader::Read(std::span<float> out) { return impl_->Read(out); }
const std::string& AudioReader::damage() const { return impl_->damage(); }
const std::vector<std::string>& AudioReader::warnings() const {
  return impl_->warnings_;
}
const std::string& AudioReader::name() const { return impl_->source_.name(); }
double AudioReader::declared_duration() const {
  return impl_->declared_duration_;
}

std::vector<float> ReadAudio(const std::filesystem::path& path,
                             const AudioOptions& options) {
  AudioReader reader(path, options);
  std::vector<float> samples;
  std::vector<float> block(kSampleRate);
  while (const size_t n = reader.Read(block))
    samples.insert(samples.end(), block.begin(),
                   block.begin() + static_cast<ptrdiff_t>(n));
  if (reader.damaged()) throw Error(ErrorCode::kBadInput, reader.damage());
  return samples;
}

}  // namespace sotto
