// SPDX-License-Identifier: MIT
#include "npu/host/ioctl.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/error.h"

namespace sotto::npu {
namespace {

class Node : public Ioctl {
 public:
  explicit Node(int fd) : fd_(fd) {}
  ~Node() override { close(fd_); }
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  int Call(unsigned long request, void* argument) override {
    // note: EAGAIN is not asked again: this driver means "no heap" by it.
    while (ioctl(fd_, request, argument) != 0)
      if (errno != EINTR) return errno;
    return 0;
  }

  std::byte* Map(size_t bytes, uint64_t offset, size_t alignment) override {
    constexpr int kBoth = PROT_READ | PROT_WRITE;
    if (alignment == 0)
      return Checked(mmap(nullptr, bytes, kBoth, MAP_SHARED, fd_,
                          static_cast<off_t>(offset)));
    // Room for an aligned piece, the piece over it, the rest given back.
    std::byte* const room =
        Checked(mmap(nullptr, bytes + alignment, PROT_NONE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
    if (room == nullptr) return nullptr;
    const size_t before = -reinterpret_cast<uintptr_t>(room) & (alignment - 1);
    std::byte* const memory =
        Checked(mmap(room + before, bytes, kBoth, MAP_SHARED | MAP_FIXED, fd_,
                     static_cast<off_t>(offset)));
    if (memory == nullptr) {
      munmap(room, bytes + alignment);
      return nullptr;
    }
    if (before > 0) munmap(room, before);
    munmap(room + before + bytes, alignment - before);
    return memory;
  }

  void Unmap(std::byte* memory, size_t bytes) override {
    munmap(memory, bytes);
  }

 private:
  static std::byte* Checked(void* mapped) {
    return mapped == MAP_FAILED ? nullptr : static_cast<std::byte*>(mapped);
  }

  int fd_;
};

}  // namespace

std::unique_ptr<Ioctl> OpenNode(const std::string& path) {
  const int fd = open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (fd < 0)
    Fail(ErrorCode::kDevice, "npu: {}: {}", path, std::strerror(errno));
  return std::make_unique<Node>(fd);
}

}  // namespace sotto::npu
