// SPDX-License-Identifier: MIT
// What every user of libav here needs: owners of its objects, its error texts
// and its log. Only .cc files of this folder include it.
#pragma once

#include <memory>
#include <string>

// libav's own names; its headers stay in the .cc files.
struct AVChannelLayout;
struct AVCodecContext;
struct AVFormatContext;
struct AVFrame;
struct AVIOContext;
struct AVPacket;
struct AVStream;
struct SwrContext;

namespace sotto::av {

struct Delete {
  void operator()(AVFormatContext* p) const;
  void operator()(AVCodecContext* p) const;
  void operator()(AVPacket* p) const;
  void operator()(AVFrame* p) const;
  void operator()(SwrContext* p) const;
  void operator()(AVIOContext* p) const;
};
template <typename T>
using Owner = std::unique_ptr<T, Delete>;

// Throws kOutOfMemory where libav's allocation gave nothing.
template <typename T>
Owner<T> Own(T* object);

// libav's words for a negative return value: "Invalid data found when ...".
std::string ErrorText(int code);

// Sends libav's log to base/log.h (debug). Idempotent, any thread.
void UseOurLog();

// While it lives, remembers the last line that libav logged as an error on
// this thread: often a better cause ("moov atom not found") than the code.
class ErrorLine {
 public:
  ErrorLine();
  ErrorLine(const ErrorLine&) = delete;
  ErrorLine& operator=(const ErrorLine&) = delete;
  ~ErrorLine();
  // The remembered line, or the text of `code` where there is none.
  std::string Or(int code) const;
  const std::string& line() const { return line_; }
  void Set(std::string line) { line_ = std::move(line); }

 private:
  ErrorLine* outer_;
  std::string line_;
};

[[noreturn]] void FailOutOfMemory();

template <typename T>
Owner<T> Own(T* object) {
  if (object == nullptr) FailOutOfMemory();
  return Owner<T>(object);
}

}  // namespace sotto::av
