// SPDX-License-Identifier: MIT
#include "audio/fixtures_test.h"

extern "C" {
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/opt.h>
#include <libswresample/swresample.h>
}

#include <fmt/format.h>
#include <openssl/evp.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <limits>
#include <nlohmann/json.hpp>
#include <numbers>
#include <random>

#include "audio/av.h"

namespace sotto::testing {

void WriteBytes(const std::filesystem::path& path, std::string_view bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

std::string ReadBytes(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::vector<float> MakeSound(size_t samples, int rate, uint32_t seed) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> unit(-1, 1);
  const float pitch = 120 + 60 * unit(random);
  std::vector<float> sound(samples);
  double phase = 0;
  for (size_t i = 0; i < samples; ++i) {
    const double t = static_cast<double>(i) / rate;
    phase += 2 * std::numbers::pi * (pitch + 30 * std::sin(3 * t)) / rate;
    double x = 0;
    for (int h = 1; h <= 8; ++h) x += std::sin(h * phase) / h;
    const double envelope = 0.5 + 0.5 * std::sin(7 * t + seed);
    sound[i] = std::clamp(
        static_cast<float>(0.25 * envelope * x) + 0.02f * unit(random), -0.9f,
        0.9f);
  }
  return sound;
}

namespace {

template <typename T>
void Put(std::string& out, T value) {
  const auto bytes = std::bit_cast<std::array<char, sizeof(T)>>(value);
  out.append(bytes.data(), bytes.size());
}

void PutSample(std::string& out, float x, const WavFormat& format) {
  if (format.real && format.bits == 64) return Put(out, double{x});
  if (format.real) return Put(out, x);
  const double scale = std::ldexp(1.0, format.bits - 1);
  const auto value = static_cast<int64_t>(
      std::clamp(std::nearbyint(x * scale), -scale, scale - 1));
  if (format.bits == 8) return Put(out, static_cast<uint8_t>(value + 128));
  for (int b = 0; b < format.bits; b += 8)
    out += static_cast<char>(value >> b & 0xff);
}

}  // namespace

std::string Wav(std::span<const float> samples, const WavFormat& format) {
  std::string data;
  for (const float x : samples) PutSample(data, x, format);
  const auto tag = static_cast<uint16_t>(format.real ? 3 : 1);
  const auto block = static_cast<uint16_t>(format.channels * format.bits / 8);
  std::string head;
  Put(head, format.channel_mask != 0 ? uint16_t{0xfffe} : tag);
  Put(head, static_cast<uint16_t>(format.channels));
  Put(head, static_cast<uint32_t>(format.rate));
  Put(head, static_cast<uint32_t>(format.rate * block));
  Put(head, block);
  Put(head, static_cast<uint16_t>(format.bits));
  if (format.channel_mask != 0) {
    Put(head, uint16_t{22});
    Put(head, static_cast<uint16_t>(format.bits));
    Put(head, format.channel_mask);
    Put(head, tag);
    head.append("\x00\x00\x00\x00\x10\x00\x80\x00\x00\xaa\x00\x38\x9b\x71", 14);
  }
  std::string wav = "RIFF";
  Put(wav, static_cast<uint32_t>(20 + head.size() + data.size()));
  wav += "WAVEfmt ";
  Put(wav, static_cast<uint32_t>(head.size()));
  wav += head + "data";
  Put(wav, static_cast<uint32_t>(data.size()));
  return wav + data;
}

namespace {

// One encoder into one stream of a muxer.
struct Track {
  av::Owner<AVCodecContext> encoder;
  AVStream* stream = nullptr;
};

void Mux(AVFormatContext* out, Track& track, const AVFrame* frame) {
  const auto packet = av::Own(av_packet_alloc());
  avcodec_send_frame(track.encoder.get(), frame);
  while (avcodec_receive_packet(track.encoder.get(), packet.get()) == 0) {
    packet->stream_index = track.stream->index;
    av_packet_rescale_ts(packet.get(), track.encoder->time_base,
                         track.stream->time_base);
    av_interleaved_write_frame(out, packet.get());
  }
}

bool OpenTrack(AVFormatContext* out, Track& track, const AVCodec* codec) {
  AVDictionary* options = nullptr;
  av_dict_set(&options, "strict", "experimental", 0);
  if ((out->oformat->flags & AVFMT_GLOBALHEADER) != 0)
    track.encoder->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
  const bool opened = avcodec_open2(track.encoder.get(), codec, &options) >= 0;
  av_dict_free(&options);
  if (!opened) return false;
  track.stream = avformat_new_stream(out, nullptr);
  track.stream->time_base = track.encoder->time_base;
  avcodec_parameters_from_context(track.stream->codecpar, track.encoder.get());
  return true;
}

// The encoder's own sample format from f32, by swresample.
void EncodeSound(AVFormatContext* out, Track& track, std::span<const float> pcm,
                 int channels) {
  AVCodecContext* const encoder = track.encoder.get();
  AVChannelLayout layout{};
  av_channel_layout_default(&layout, channels);
  SwrContext* made = nullptr;
  swr_alloc_set_opts2(&made, &layout, encoder->sample_fmt, encoder->sample_rate,
                      &layout, AV_SAMPLE_FMT_FLT, encoder->sample_rate, 0,
                      nullptr);
  const auto swr = av::Own(made);
  swr_init(swr.get());
  const int step = encoder->frame_size > 0 ? encoder->frame_size : 1024;
  const auto total = static_cast<int>(pcm.size()) / channels;
  for (int at = 0; at < total; at += step) {
    const auto frame = av::Own(av_frame_alloc());
    frame->nb_samples = std::min(step, total - at);
    frame->format = encoder->sample_fmt;
    frame->sample_rate = encoder->sample_rate;
    av_channel_layout_copy(&frame->ch_layout, &layout);
    av_frame_get_buffer(frame.get(), 0);
    const void* data = pcm.data() + static_cast<size_t>(at) * channels;
    const auto* in = static_cast<const uint8_t*>(data);
    swr_convert(swr.get(), frame->extended_data, frame->nb_samples, &in,
                frame->nb_samples);
    frame->pts = at;
    Mux(out, track, frame.get());
  }
  Mux(out, track, nullptr);
}

void EncodePictures(AVFormatContext* out, Track& track, int count) {
  for (int i = 0; i < count; ++i) {
    const auto frame = av::Own(av_frame_alloc());
    frame->format = AV_PIX_FMT_YUV420P;
    frame->width = track.encoder->width;
    frame->height = track.encoder->height;
    av_frame_get_buffer(frame.get(), 0);
    for (int p = 0; p < 3; ++p)
      std::memset(
          frame->data[p], 16 + i,
          static_cast<size_t>(frame->linesize[p] *
                              (p == 0 ? frame->height : frame->height / 2)));
    frame->pts = i;
    Mux(out, track, frame.get());
  }
  Mux(out, track, nullptr);
}

}  // namespace

bool Encode(const std::filesystem::path& path, const std::string& codec_name,
            const std::string& muxer, std::span<const float> pcm,
            const EncodeOptions& options) {
  av::UseOurLog();  // encoders chat on stderr
  const AVCodec* const codec = avcodec_find_encoder_by_name(codec_name.c_str());
  const AVCodec* const video_codec = avcodec_find_encoder_by_name("mpeg4");
  AVFormatContext* made = nullptr;
  if (codec == nullptr || avformat_alloc_output_context2(
                              &made, nullptr, muxer.c_str(), nullptr) < 0)
    return false;
  const std::unique_ptr<AVFormatContext, decltype(&avformat_free_context)> out(
      made, avformat_free_context);
  out->url = av_strdup(path.c_str());  // faststart reads the file again
  Track sound;
  Track pictures;
  if (options.audio) {
    sound.encoder = av::Own(avcodec_alloc_context3(codec));
    sound.encoder->sample_rate = options.rate;
    sound.encoder->time_base = {1, options.rate};
    sound.encoder->sample_fmt = codec->sample_fmts[0];
    for (const auto* f = codec->sample_fmts; *f != AV_SAMPLE_FMT_NONE; ++f)
      if (av_get_packed_sample_fmt(*f) == AV_SAMPLE_FMT_S16)
        sound.encoder->sample_fmt = *f;
    sound.encoder->bit_rate = 64000 * options.channels;
    av_channel_layout_default(&sound.encoder->ch_layout, options.channels);
    if (!OpenTrack(out.get(), sound, codec)) return false;
  }
  if (options.video_frames > 0) {
    if (video_codec == nullptr) return false;
    pictures.encoder = av::Own(avcodec_alloc_context3(video_codec));
    pictures.encoder->width = pictures.encoder->height = 64;
    pictures.encoder->pix_fmt = AV_PIX_FMT_YUV420P;
    pictures.encoder->time_base = {1, 10};
    if (!OpenTrack(out.get(), pictures, video_codec)) return false;
  }
  AVDictionary* settings = nullptr;
  av_dict_parse_string(&settings, options.muxer_options.c_str(), "=", ",", 0);
  const bool begun = avio_open(&out->pb, path.c_str(), AVIO_FLAG_WRITE) >= 0 &&
                     avformat_write_header(out.get(), &settings) >= 0;
  av_dict_free(&settings);
  if (!begun) return false;
  if (options.video_frames > 0)
    EncodePictures(out.get(), pictures, options.video_frames);
  if (options.audio) EncodeSound(out.get(), sound, pcm, options.channels);
  av_write_trailer(out.get());
  avio_closep(&out->pb);
  return true;
}

std::string PcmSha256(std::span<const float> samples) {
  std::string bytes;
  for (const float x : samples)
    Put(bytes, static_cast<int16_t>(std::lrint(x * 32768)));
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned length = 0;
  EVP_Digest(bytes.data(), bytes.size(), digest.data(), &length, EVP_sha256(),
             nullptr);
  std::string hex;
  for (unsigned i = 0; i < length; ++i) hex += fmt::format("{:02x}", digest[i]);
  return hex;
}

std::optional<std::filesystem::path> TestData(std::string_view name) {
  const char* root = std::getenv("SOTTO_TEST_DATA");
  if (root == nullptr || *root == '\0') return std::nullopt;
  std::filesystem::path path = std::filesystem::path(root) / name;
  if (!std::filesystem::exists(path)) return std::nullopt;
  return path;
}

std::vector<float> ReadF32Tensor(const std::filesystem::path& path,
                                 const std::string& name) {
  const std::string bytes = ReadBytes(path);
  uint64_t head = 0;
  std::memcpy(&head, bytes.data(), sizeof head);
  const auto json = nlohmann::json::parse(bytes.substr(8, head));
  const auto range = json.at(name).at("data_offsets");
  const size_t begin = range[0];
  const size_t end = range[1];
  std::vector<float> values((end - begin) / sizeof(float));
  std::memcpy(values.data(), bytes.data() + 8 + head + begin, end - begin);
  return values;
}

double MaxDifference(std::span<const float> a, std::span<const float> b) {
  if (a.size() != b.size()) return std::numeric_limits<double>::infinity();
  double worst = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double difference = std::abs(double{a[i]} - double{b[i]});
    if (std::isnan(difference)) return std::numeric_limits<double>::infinity();
    worst = std::max(worst, difference);
  }
  return worst;
}

}  // namespace sotto::testing
