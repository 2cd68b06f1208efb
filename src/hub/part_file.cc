// SPDX-License-Identifier: MIT
#include "hub/part_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/error.h"
#include "base/file.h"

namespace sotto {
namespace {

namespace fs = std::filesystem;

constexpr size_t kTagLimit = 1024;

// If-Range takes strong tags only (RFC 9110, 13.1.5); and the text goes into
// a header line.
bool IsStrongTag(std::string_view tag) {
  return tag.size() >= 2 && tag.size() <= kTagLimit && tag.front() == '"' &&
         tag.back() == '"' && std::all_of(tag.begin(), tag.end(), [](char c) {
           return c > ' ' && c < 0x7f;
         });
}

}  // namespace

void MakeFolder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error)
    Fail(ErrorCode::kBadInput, "{}: cannot make the folder: {}",
         folder.string(), error.message());
}

void SyncFolder(const fs::path& folder) {
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;  // some file systems have nothing to sync here
  ::fsync(fd);
  ::close(fd);
}

PartFile::PartFile(const fs::path& target)
    : target_(target),
      part_(target.string() + ".part"),
      tag_path_(target.string() + ".part.etag") {
  MakeFolder(target.parent_path());
  fd_ = ::open(part_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (fd_ < 0) FailErrno("write");
  struct stat info {};
  if (::fstat(fd_, &info) == 0 && S_ISREG(info.st_mode))
    size_ = static_cast<uint64_t>(info.st_size);
  std::error_code error;
  if (size_ == 0 || !fs::is_regular_file(tag_path_, error)) return;
  try {
    tag_ = ReadFile(tag_path_, kTagLimit);
  } catch (const Error&) {
    tag_.clear();
  }
  if (!IsStrongTag(tag_)) tag_.clear();
}

PartFile::~PartFile() {
  if (fd_ >= 0) ::close(fd_);
}

void PartFile::FailErrno(const char* what) const {
  Fail(ErrorCode::kBadInput, "{}: cannot {}: {}", part_.string(), what,
       std::strerror(errno));
}

void PartFile::SetTag(std::string_view tag) {
  tag_ = IsStrongTag(tag) ? tag : "";
  std::error_code ignored;
  if (tag_.empty())
    fs::remove(tag_path_, ignored);
  else
    WriteFileAtomic(tag_path_, tag_);
}

void PartFile::Append(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(fd_, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) FailErrno("write");
    bytes = bytes.subspan(static_cast<size_t>(count));
    size_ += static_cast<uint64_t>(count);
  }
}

void PartFile::Clear() {
  if (size_ > 0 && ::ftruncate(fd_, 0) != 0) FailErrno("truncate");
  size_ = 0;
  SetTag("");
}

void PartFile::Remove() {
  std::error_code ignored;
  fs::remove(part_, ignored);
  fs::remove(tag_path_, ignored);
}

Digest PartFile::Sum(Digest::Kind kind) const {
  return DigestOfFile(part_, kind);
}

void PartFile::Finish() {
  if (::fsync(fd_) != 0 || ::close(std::exchange(fd_, -1)) != 0)
    FailErrno("sync");
  if (::rename(part_.c_str(), target_.c_str()) != 0) FailErrno("rename");
  std::error_code ignored;
  fs::remove(tag_path_, ignored);
  SyncFolder(target_.parent_path());
}

}  // namespace sotto
