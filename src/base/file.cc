// SPDX-License-Identifier: MIT
#include "base/file.h"

#include <fcntl.h>
#include <pwd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "base/error.h"

namespace sotto {
namespace {

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }
  bool Close() { return ::close(std::exchange(fd_, -1)) == 0; }

 private:
  int fd_;
};

[[noreturn]] void FailErrno(const std::filesystem::path& path,
                            const char* what) {
  const ErrorCode code =
      errno == ENOENT ? ErrorCode::kNotFound : ErrorCode::kBadInput;
  Fail(code, "{}: cannot {}: {}", path.string(), what, std::strerror(errno));
}

size_t PageSize() {
  static const size_t size = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  return size;
}

}  // namespace

MappedFile::MappedFile(const std::filesystem::path& path) : path_(path) {
  const Descriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (fd.get() < 0) FailErrno(path, "open");
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) FailErrno(path, "stat");
  if (!S_ISREG(info.st_mode))
    Fail(ErrorCode::kBadInput, "{}: not a regular file", path.string());
  size_ = static_cast<size_t>(info.st_size);
  if (size_ == 0) return;
  void* data = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, fd.get(), 0);
  if (data == MAP_FAILED) FailErrno(path, "map");
  data_ = static_cast<const std::byte*>(data);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

void MappedFile::Release(size_t offset, size_t bytes) const {
  if (data_ == nullptr || offset >= size_) return;
  const size_t page = PageSize();
  const size_t end = std::min(offset + bytes, size_);
  const size_t first = (offset + page - 1) / page * page;
  // note: the file's last page may be partial; releasing it whole is fine.
  const size_t last = end == size_ ? (end + page - 1) / page * page
                                   : end / page * page;
  if (first >= last) return;
  ::madvise(const_cast<std::byte*>(data_) + first, last - first,
            MADV_DONTNEED);
}

std::string ReadFile(const std::filesystem::path& path, size_t limit) {
  const MappedFile file(path);
  if (file.size() > limit)
    Fail(ErrorCode::kBadInput, "{}: {} bytes, want at most {}", path.string(),
         file.size(), limit);
  std::string text(file.size(), '\0');
  if (!text.empty())
    std::memcpy(text.data(), file.bytes().data(), file.size());
  return text;
}

void WriteFileAtomic(const std::filesystem::path& path,
                     std::string_view text) {
  const std::filesystem::path part =
      path.string() + fmt::format(".part{}", ::getpid());
  {
    Descriptor fd(::open(part.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC,
                         0644));
    if (fd.get() < 0) FailErrno(path, "write");
    size_t done = 0;
    while (done < text.size()) {
      const ssize_t n =
          ::write(fd.get(), text.data() + done, text.size() - done);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) {
        const int cause = errno;
        ::unlink(part.c_str());
        errno = cause;
        FailErrno(path, "write");
      }
      done += static_cast<size_t>(n);
    }
    if (::fsync(fd.get()) != 0 || !fd.Close()) {
      const int cause = errno;
      ::unlink(part.c_str());
      errno = cause;
      FailErrno(path, "write");
    }
  }
  if (::rename(part.c_str(), path.c_str()) != 0) {
    const int cause = errno;
    ::unlink(part.c_str());
    errno = cause;
    FailErrno(path, "rename");
  }
}

std::filesystem::path FindBesideProgram(
    std::initializer_list<std::string_view> places) {
  std::error_code ignored;
  const auto program = std::filesystem::read_symlink("/proc/self/exe", ignored);
  if (program.empty()) return {};
  for (const std::string_view place : places) {
    const auto path = (program.parent_path() / place).lexically_normal();
    if (std::filesystem::exists(path, ignored)) return path;
  }
  return {};
}

std::filesystem::path HomeDirectory() {
  if (const char* home = std::getenv("HOME"); home != nullptr && *home != '\0')
    return home;
  if (const passwd* entry = ::getpwuid(::getuid()); entry != nullptr)
    return entry->pw_dir;
  return "/";
}

}  // namespace sotto
