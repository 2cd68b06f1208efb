// SPDX-License-Identifier: MIT
#include "audio/source.h"

extern "C" {
#include <libavformat/avio.h>
#include <libavutil/error.h>
#include <libavutil/mem.h>
}

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>

#include "base/error.h"

namespace sotto::av {
namespace {

// More than the largest ogg page (65,307 bytes).
constexpr int kTailBytes = 66 * 1024;
constexpr int kIoBytes = 64 * 1024;
// Enough to see which box follows "ftyp"; little, so that live sound on a pipe
// is not held up.
constexpr size_t kHeadBytes = 4096;

uint64_t BigEndian(std::span<const std::byte> bytes) {
  uint64_t value = 0;
  for (const std::byte b : bytes) value = value << 8 | std::to_integer<int>(b);
  return value;
}

// True where the head is an mp4 whose sample index is not seen before its
// data. A box is a size and a name of four bytes each (ISO/IEC 14496-12, 4.2).
bool IndexMayComeLast(std::span<const std::byte> head) {
  const auto name_at = [&](size_t at) {
    std::string name;
    for (const std::byte b : head.subspan(at + 4, 4))
      name += std::to_integer<char>(b);
    return name;
  };
  if (head.size() < 16) return false;
  constexpr std::string_view kFirst[] = {"ftyp", "moov", "mdat", "free",
                                         "skip", "wide", "pnot", "styp"};
  if (std::ranges::find(kFirst, name_at(0)) == std::end(kFirst)) return false;
  size_t at = 0;
  while (at + 16 <= head.size()) {
    if (name_at(at) == "moov") return false;
    if (name_at(at) == "mdat") return true;
    uint64_t size = BigEndian(head.subspan(at, 4));
    if (size == 1) size = BigEndian(head.subspan(at + 8, 8));
    if (size < 8 || size > head.size()) return true;
    at += static_cast<size_t>(size);
  }
  return true;
}

ssize_t ReadSome(int fd, std::span<std::byte> out, int64_t at) {
  while (true) {
    const ssize_t n = at < 0 ? ::read(fd, out.data(), out.size())
                             : ::pread(fd, out.data(), out.size(), at);
    if (n >= 0 || errno != EINTR) return n;
  }
}

}  // namespace

Source::Source(const std::filesystem::path& path)
    : name_(path == "-" ? "stdin" : path.string()) {
  if (path == "-") {
    fd_ = STDIN_FILENO;
  } else {
    fd_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    owns_fd_ = fd_ >= 0;
  }
  struct stat info {};
  if (fd_ < 0 || ::fstat(fd_, &info) != 0) {
    const int cause = errno;
    if (owns_fd_) ::close(fd_);
    Fail(cause == ENOENT ? ErrorCode::kNotFound : ErrorCode::kBadInput,
         "{}: cannot open: {}", name_, std::strerror(cause));
  }
  try {
    if (S_ISDIR(info.st_mode))
      Fail(ErrorCode::kBadInput, "{}: is a folder, want a file with sound",
           name_);
    if (path == "-" && ::isatty(fd_) == 1)
      Fail(ErrorCode::kBadInput,
           "stdin: is a terminal, want a file with sound piped in");
    if (S_ISREG(info.st_mode)) {
      start_ = path == "-" ? std::max<off_t>(::lseek(fd_, 0, SEEK_CUR), 0) : 0;
      size_ = std::max<int64_t>(info.st_size - start_, 0);
    }
    ReadHead();
    if (head_.empty())
      Fail(ErrorCode::kBadInput, "{}: empty, want a file with sound", name_);
    OpenIo(size_ >= 0);
  } catch (...) {
    if (owns_fd_) ::close(fd_);
    throw;
  }
}

Source::~Source() {
  if (owns_fd_) ::close(fd_);
}

void Source::ReadHead() {
  head_.resize(kHeadBytes);
  size_t got = 0;
  ssize_t n = 1;
  while (got < head_.size() && n > 0) {
    n = ReadSome(fd_, std::span(head_).subspan(got),
                 size_ < 0 ? -1 : start_ + static_cast<int64_t>(got));
    if (n > 0) got += static_cast<size_t>(n);
  }
  if (n < 0)
    Fail(ErrorCode::kBadInput, "{}: cannot read: {}", name_,
         std::strerror(errno));
  head_.resize(got);
}

void Source::OpenIo(bool seekable) {
  auto* buffer = static_cast<uint8_t*>(av_malloc(kIoBytes));
  if (buffer == nullptr) FailOutOfMemory();
  AVIOContext* io = avio_alloc_context(buffer, kIoBytes, 0, this, OnRead,
                                       nullptr, seekable ? OnSeek : nullptr);
  if (io == nullptr) av_free(buffer);
  io_ = Own(io);
}

void Source::SpoolIfIndexMayComeLast(uint64_t limit) {
  if (size_ >= 0 || !IndexMayComeLast(head_)) return;
  spool_.emplace();
  spool_->Append(head_);
  std::vector<std::byte> block(size_t{256} * 1024);
  while (true) {
    const ssize_t n = ReadSome(fd_, block, -1);
    if (n < 0)
      Fail(ErrorCode::kBadInput, "{}: cannot read: {}", name_,
           std::strerror(errno));
    if (n == 0) break;
    spool_->Append(std::span(block).first(static_cast<size_t>(n)));
    if (spool_->size() > limit)
      Fail(ErrorCode::kUnsupported,
           "{}: mp4 with its index at the end is over {} bytes, want a file "
           "or an mp4 with the index in front (faststart)",
           name_, limit);
  }
  position_ = 0;
  size_ = static_cast<int64_t>(spool_->size());
  OpenIo(true);
}

int64_t Source::ReadHere(std::span<std::byte> out) {
  if (spool_.has_value())
    return static_cast<int64_t>(
        spool_->Read(static_cast<uint64_t>(position_), out));
  if (size_ >= 0) return ReadSome(fd_, out, start_ + position_);
  if (static_cast<size_t>(position_) < head_.size()) {
    const auto rest = std::span(head_).subspan(static_cast<size_t>(position_));
    const size_t n = std::min(rest.size(), out.size());
    std::copy_n(rest.begin(), n, out.begin());
    return static_cast<int64_t>(n);
  }
  return ReadSome(fd_, out, -1);
}

uint64_t Source::bytes_seen() const {
  return static_cast<uint64_t>(size_ >= 0 ? size_ : position_);
}

std::vector<std::byte> Source::Tail() const {
  if (size_ < 0) return tail_;
  const int64_t from = std::max<int64_t>(size_ - kTailBytes, 0);
  std::vector<std::byte> tail(static_cast<size_t>(size_ - from));
  if (spool_.has_value()) {
    tail.resize(spool_->Read(static_cast<uint64_t>(from), tail));
    return tail;
  }
  const ssize_t n = ReadSome(fd_, tail, start_ + from);
  tail.resize(static_cast<size_t>(std::max<ssize_t>(n, 0)));
  return tail;
}

void Source::KeepTail(std::span<const std::byte> bytes) {
  tail_.insert(tail_.end(), bytes.begin(), bytes.end());
  if (tail_.size() > size_t{4} * kTailBytes)
    tail_.erase(tail_.begin(), tail_.end() - kTailBytes);
}

int Source::OnRead(void* self, uint8_t* out, int size) {
  auto& source = *static_cast<Source*>(self);
  try {
    const auto bytes =
        std::as_writable_bytes(std::span(out, static_cast<size_t>(size)));
    const int64_t n = source.ReadHere(bytes);
    if (n < 0) return AVERROR(errno);
    if (n == 0) return AVERROR_EOF;
    source.position_ += n;
    if (source.size_ < 0) source.KeepTail(bytes.first(static_cast<size_t>(n)));
    return static_cast<int>(n);
  } catch (const Error&) {
    return AVERROR(EIO);  // nothing may be thrown through libav's C
  }
}

int64_t Source::OnSeek(void* self, int64_t offset, int whence) {
  auto& source = *static_cast<Source*>(self);
  switch (whence & ~AVSEEK_FORCE) {
    case AVSEEK_SIZE:
      return source.size_;
    case SEEK_SET:
      break;
    case SEEK_CUR:
      offset += source.position_;
      break;
    case SEEK_END:
      offset += source.size_;
      break;
    default:
      return AVERROR(EINVAL);
  }
  if (offset < 0) return AVERROR(EINVAL);
  return source.position_ = offset;
}

}  // namespace sotto::av
