// SPDX-License-Identifier: MIT
#include "model/out_folder.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/error.h"

namespace sotto {
namespace {

namespace fs = std::filesystem;

// Large enough that a system call costs nothing beside the copy.
constexpr size_t kBuffer = size_t{1} << 20;

[[noreturn]] void FailErrno(const fs::path& path, const char* what) {
  Fail(ErrorCode::kBadInput, "{}: cannot {}: {}", path.string(), what,
       std::strerror(errno));
}

}  // namespace

OutFile::OutFile(const fs::path& path) : path_(path) {
  fd_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd_ < 0) FailErrno(path_, "write");
  buffer_.reserve(kBuffer);
}

OutFile::~OutFile() {
  if (fd_ >= 0) ::close(fd_);
}

void OutFile::Write(const void* data, size_t bytes) {
  const auto* from = static_cast<const std::byte*>(data);
  offset_ += bytes;
  while (bytes > 0) {
    const size_t part = std::min(bytes, kBuffer - buffer_.size());
    buffer_.insert(buffer_.end(), from, from + part);
    from += part;
    bytes -= part;
    if (buffer_.size() == kBuffer) Flush();
  }
}

void OutFile::PadTo(uint64_t alignment) {
  constexpr std::array<char, 64> kZeros{};
  while (offset_ % alignment != 0)
    Write(kZeros.data(),
          std::min<uint64_t>(kZeros.size(), alignment - offset_ % alignment));
}

void OutFile::Flush() {
  size_t done = 0;
  while (done < buffer_.size()) {
    const ssize_t n =
        ::write(fd_, buffer_.data() + done, buffer_.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) FailErrno(path_, "write");
    done += static_cast<size_t>(n);
  }
  buffer_.clear();
}

void OutFile::Close() {
  Flush();
  if (::fsync(fd_) != 0 || ::close(std::exchange(fd_, -1)) != 0)
    FailErrno(path_, "write");
}

OutFolder::OutFolder(const fs::path& folder) : folder_(folder) {
  std::error_code error;
  made_ = fs::create_directory(folder, error);
  if (error || !fs::is_directory(folder, error))
    Fail(ErrorCode::kBadInput, "{}: cannot make this folder: {}",
         folder.string(),
         error ? error.message() : std::string("a file is in the way"));
}

OutFolder::~OutFolder() {
  std::error_code ignored;
  for (const Pending& file : pending_) fs::remove(file.part, ignored);
  if (made_) fs::remove(folder_, ignored);  // only where it is empty
}

fs::path OutFolder::Add(const std::string& name) {
  const fs::path part = folder_ / fmt::format("{}.part{}", name, ::getpid());
  pending_.push_back({part, name});
  return part;
}

void OutFolder::AddText(const std::string& name, std::string_view text) {
  OutFile file(Add(name));
  file.Write(text);
  file.Close();
}

bool OutFolder::Has(const std::string& name) const {
  return std::any_of(pending_.begin(), pending_.end(),
                     [&](const Pending& file) { return file.name == name; });
}

void OutFolder::Commit() {
  while (!pending_.empty()) {
    const Pending& file = pending_.back();
    if (::rename(file.part.c_str(), (folder_ / file.name).c_str()) != 0)
      FailErrno(folder_ / file.name, "rename");
    pending_.pop_back();
  }
  made_ = false;
}

}  // namespace sotto
