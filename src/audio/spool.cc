// SPDX-License-Identifier: MIT
#include "audio/spool.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"

namespace sotto {
namespace {

int OpenUnnamed(const std::string& directory) {
  const int fd =
      ::open(directory.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC | O_EXCL, 0600);
  if (fd >= 0) return fd;
  // Some file systems (overlay, NFS) have no O_TMPFILE: make one and unlink it.
  std::string name = directory + "/sotto-XXXXXX";
  const int named = ::mkostemp(name.data(), O_CLOEXEC);
  if (named >= 0) ::unlink(name.c_str());
  return named;
}

}  // namespace

SpoolFile::SpoolFile() {
  std::vector<std::string> directories;
  if (const char* set = ::getenv("TMPDIR"); set != nullptr && *set != '\0')
    directories.emplace_back(set);
  directories.insert(directories.end(), {"/var/tmp", "/tmp"});
  for (const std::string& directory : directories)
    if ((fd_ = OpenUnnamed(directory)) >= 0) return;
  Fail(ErrorCode::kUnsupported,
       "temporary file: cannot be made in {}: {}, want a writable TMPDIR",
       fmt::join(directories, ", "), std::strerror(errno));
}

SpoolFile::SpoolFile(SpoolFile&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), size_(std::exchange(other.size_, 0)) {}

SpoolFile& SpoolFile::operator=(SpoolFile&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(size_, other.size_);
  return *this;
}

SpoolFile::~SpoolFile() {
  if (fd_ >= 0) ::close(fd_);
}

void SpoolFile::Append(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t n =
        ::pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(size_));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0)
      Fail(ErrorCode::kUnsupported,
           "temporary file: cannot write after {} bytes: {}, want more space "
           "(TMPDIR names another folder)",
           size_, std::strerror(n == 0 ? ENOSPC : errno));
    size_ += static_cast<uint64_t>(n);
    bytes = bytes.subspan(static_cast<size_t>(n));
  }
}

size_t SpoolFile::Read(uint64_t offset, std::span<std::byte> out) const {
  size_t done = 0;
  while (done < out.size()) {
    const ssize_t n = ::pread(fd_, out.data() + done, out.size() - done,
                              static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0)
      Fail(ErrorCode::kUnsupported, "temporary file: cannot read: {}",
           std::strerror(errno));
    if (n == 0) break;
    done += static_cast<size_t>(n);
  }
  return done;
}

}  // namespace sotto
