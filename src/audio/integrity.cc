// SPDX-License-Identifier: MIT
#include "audio/integrity.h"

extern "C" {
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
}

#include <algorithm>
#include <cstring>

#include "base/error.h"

namespace sotto::av {
namespace {

// Headers of these give the number of samples exactly.
constexpr std::string_view kExactLength[] = {"flac", "aiff", "au",
                                             "tta",  "wv",   "tak"};

// Encoder delay and padding that decoders take off: at most four frames.
constexpr int64_t kMp3Slack = 4 * 1152;

// Lines that mean lost data where libav goes on without an error code.
constexpr std::string_view kLossLines[] = {
    "CRC mismatch",            // ogg
    "File ended prematurely",  // matroska, this and the following
    "Read error", "exceeds containing master element",
    "invalid as first byte of an EBML number"};

bool IsMpegAudio(int codec) {
  return codec == AV_CODEC_ID_MP1 || codec == AV_CODEC_ID_MP2 ||
         codec == AV_CODEC_ID_MP3;
}

// MPEG audio frames begin with eleven ones.
bool BeginsWithSync(const AVPacket& packet) {
  return packet.size >= 2 && packet.data[0] == 0xff &&
         (packet.data[1] & 0xe0) == 0xe0;
}

uint32_t LittleEndian(std::span<const std::byte> bytes) {
  uint32_t value = 0;
  for (size_t i = 0; i < 4; ++i)
    value |= std::to_integer<uint32_t>(bytes[i]) << (8 * i);
  return value;
}

bool Reads(std::span<const std::byte> bytes, std::string_view text) {
  return bytes.size() >= text.size() &&
         std::memcmp(bytes.data(), text.data(), text.size()) == 0;
}

}  // namespace

Integrity::Integrity(const Source& source, const AVFormatContext& container)
    : source_(source),
      demuxer_(container.iformat->name),
      last_(Own(av_packet_alloc())) {
  for (unsigned i = 0; i < container.nb_streams; ++i) {
    const AVStream& stream = *container.streams[i];
    const bool known = stream.duration != AV_NOPTS_VALUE && stream.duration > 0;
    declared_s_.push_back(known ? static_cast<double>(stream.duration) *
                                      av_q2d(stream.time_base)
                                : 0);
  }
}

void Integrity::ChooseStream(const AVStream& stream) {
  const auto index = static_cast<size_t>(stream.index);
  declared_ = index < declared_s_.size() ? declared_s_[index] : 0;
  codec_ = stream.codecpar->codec_id;
  rate_ = stream.codecpar->sample_rate;
}

double Integrity::seconds() const {
  return rate_ > 0 ? static_cast<double>(decoded_) / rate_ : 0;
}

void Integrity::Damaged(std::string_view cause) {
  if (!damage_.empty()) return;
  damaged_at_ = seconds();
  damage_ = fmt::format("{}: damaged near {:.1f} s: {}", source_.name(),
                        damaged_at_, cause);
}

void Integrity::CutOff(std::string_view detail) {
  if (damage_.empty() || damaged_at_ > seconds() - 1)
    damage_ = fmt::format("{}: cut off after {:.1f} s: {}", source_.name(),
                          seconds(), detail);
}

void Integrity::CheckDemuxerLog(std::string_view log) {
  if (demuxer_ != "ogg" && demuxer_ != "matroska,webm") return;
  for (const std::string_view line : kLossLines)
    if (log.find(line) != log.npos) Damaged(log);
}

void Integrity::OnPacket(const AVPacket& packet, std::string_view log) {
  CheckDemuxerLog(log);
  // note: raw PCM of unknown length (a pipe wrote the header) always ends in
  // a short packet, which libav calls corrupt.
  const bool pcm =
      av_get_exact_bits_per_sample(static_cast<AVCodecID>(codec_)) > 0;
  if ((packet.flags & AV_PKT_FLAG_CORRUPT) != 0 && !pcm)
    Damaged("a packet is cut off or corrupt");
  av_packet_unref(last_.get());
  if (av_packet_ref(last_.get(), &packet) < 0) FailOutOfMemory();
}

void Integrity::OnReadError(std::string_view cause, std::string_view log) {
  CheckDemuxerLog(log);
  if (read_error_.empty()) read_error_ = cause;
}

void Integrity::OnDecodeError(std::string_view cause) {
  // Tags and other junk before the first and after the last frame are common
  // in mp3 files, and no sound is lost with them.
  if (IsMpegAudio(codec_) && !BeginsWithSync(*last_)) {
    if (decoded_ > 0) junk_ = cause;
    return;
  }
  Damaged(cause);
}

void Integrity::OnFrame(const AVFrame& frame) {
  if (!junk_.empty()) Damaged(junk_);
  junk_.clear();
  if (rate_ <= 0) rate_ = frame.sample_rate;
  decoded_ += frame.nb_samples;
  if ((frame.flags & AV_FRAME_FLAG_CORRUPT) != 0)
    Damaged("a frame decodes in part only");
}

void Integrity::CheckLength() {
  const bool exact =
      std::ranges::find(kExactLength, demuxer_) != std::end(kExactLength);
  const bool known = declared_ > 0 && (exact || demuxer_ == "mp3");
  const auto want = static_cast<int64_t>(declared_ * rate_ + 0.5);
  if (known && decoded_ >= want - (exact ? 0 : kMp3Slack)) return;  // all came
  if (!read_error_.empty()) Damaged(read_error_);
  if (declared_ > 0 && decoded_ == 0) Damaged("no sound can be decoded");
  if (!known) return;
  CutOff(fmt::format("want {:.1f} s", declared_));
}

// note: libav forgets a declared size that goes beyond the end of the file.
void Integrity::CheckWavSize() {
  const std::span<const std::byte> head = source_.head();
  if (!Reads(head, "RIFF")) return;
  // Chunks: a name and a size of four bytes each, padded to even.
  size_t at = 12;
  while (at + 8 <= head.size()) {
    const uint64_t size = LittleEndian(head.subspan(at + 4, 4));
    if (Reads(head.subspan(at), "data")) {
      // Recorders that cannot go back write 0 or a number near 2^31 or 2^32.
      if (size >= 0x7fff0000u) return;
      const uint64_t seen = source_.bytes_seen();
      const uint64_t have = seen - std::min<uint64_t>(seen, at + 8);
      if (have < size)
        CutOff(fmt::format("{} of {} bytes of samples", have, size));
      return;
    }
    at += 8 + static_cast<size_t>(size + (size & 1));
  }
}

// A page (RFC 3533, section 6): 27 bytes, the last of them the number of
// segments, one byte for the size of each, then these.
void Integrity::CheckLastOggPage() {
  const std::vector<std::byte> tail = source_.Tail();
  for (size_t at = tail.size(); at-- > 0;) {
    const auto page = std::span(tail).subspan(at);
    if (!Reads(page, "OggS")) continue;
    if (page.size() < 27) return CutOff("in the last page");
    const auto segments = std::to_integer<size_t>(page[26]);
    size_t size = 27 + segments;
    for (size_t i = 0; i < segments && 27 + i < page.size(); ++i)
      size += std::to_integer<size_t>(page[27 + i]);
    if (page.size() < size) CutOff("in the last page");
    return;
  }
}

// An mp3 without a declared length that is cut off ends within a frame. The
// parser gives a frame at once where it is whole, else it waits.
void Integrity::CheckLastFrame() {
  if (demuxer_ != "mp3" || !IsMpegAudio(codec_) || !BeginsWithSync(*last_))
    return;
  const AVCodec* codec = avcodec_find_decoder(static_cast<AVCodecID>(codec_));
  AVCodecParserContext* parser = av_parser_init(codec_);
  if (parser == nullptr || codec == nullptr) return;
  const Owner<AVCodecContext> context = Own(avcodec_alloc_context3(codec));
  uint8_t* frame = nullptr;
  int size = 0;
  av_parser_parse2(parser, context.get(), &frame, &size, last_->data,
                   last_->size, AV_NOPTS_VALUE, AV_NOPTS_VALUE, 0);
  av_parser_close(parser);
  if (size == 0) CutOff("in the last frame");
}

void Integrity::OnEnd() {
  if (demuxer_ == "wav") CheckWavSize();
  if (demuxer_ == "ogg") CheckLastOggPage();
  CheckLastFrame();
  CheckLength();
}

}  // namespace sotto::av
