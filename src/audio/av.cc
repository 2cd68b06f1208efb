// SPDX-License-Identifier: MIT
#include "audio/av.h"

extern "C" {
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libswresample/swresample.h>
}

#include <array>
#include <cstdarg>
#include <mutex>
#include <string_view>

#include "base/error.h"
#include "base/log.h"

namespace sotto::av {
namespace {

thread_local ErrorLine* t_error_line = nullptr;

// One line without control characters: names in hostile files end up here.
std::string OneLine(std::string_view text) {
  std::string line;
  for (const char c : text)
    line += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? ' ' : c;
  while (!line.empty() && line.back() == ' ') line.pop_back();
  return line;
}

void OnLog(void* object, int level, const char* format, va_list args) {
  const bool error = level <= AV_LOG_ERROR && t_error_line != nullptr;
  const bool shown = level <= AV_LOG_VERBOSE && LogEnabled(LogLevel::kDebug);
  if (!error && !shown) return;
  std::array<char, 512> text{};
  int prefix = 0;
  va_list again;
  va_copy(again, args);
  av_log_format_line2(object, level, format, again, text.data(),
                      static_cast<int>(text.size()), &prefix);
  va_end(again);
  const std::string line = OneLine(text.data());
  if (shown) Log(LogLevel::kDebug, "libav: {}", line);
  if (!error) return;
  // "[mov,mp4,... @ 0x55d0] moov atom not found": the address says nothing.
  const size_t end = line.starts_with('[') ? line.find("] ") : line.npos;
  t_error_line->Set(end == line.npos ? line : line.substr(end + 2));
}

}  // namespace

void Delete::operator()(AVFormatContext* p) const { avformat_close_input(&p); }
void Delete::operator()(AVCodecContext* p) const { avcodec_free_context(&p); }
void Delete::operator()(AVPacket* p) const { av_packet_free(&p); }
void Delete::operator()(AVFrame* p) const { av_frame_free(&p); }
void Delete::operator()(SwrContext* p) const { swr_free(&p); }
void Delete::operator()(AVIOContext* p) const {
  av_freep(&p->buffer);  // note: libav may have replaced the one we gave
  avio_context_free(&p);
}

void UseOurLog() {
  static std::once_flag once;
  std::call_once(once, [] { av_log_set_callback(OnLog); });
}

std::string ErrorText(int code) {
  std::array<char, AV_ERROR_MAX_STRING_SIZE> text{};
  av_strerror(code, text.data(), text.size());
  return text.data();
}

ErrorLine::ErrorLine() : outer_(t_error_line) { t_error_line = this; }
ErrorLine::~ErrorLine() { t_error_line = outer_; }

std::string ErrorLine::Or(int code) const {
  return line_.empty() ? ErrorText(code) : line_;
}

void FailOutOfMemory() {
  Fail(ErrorCode::kOutOfMemory, "libav: out of memory");
}

}  // namespace sotto::av
