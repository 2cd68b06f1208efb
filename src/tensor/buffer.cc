// SPDX-License-Identifier: MIT
#include "tensor/buffer.h"

#include <sys/mman.h>

#include <atomic>
#include <cstdlib>
#include <cstring>

#include "base/error.h"

namespace sotto {
namespace {

std::atomic<uint64_t> g_allocations{0};

// From here on pages come straight from the system: zeroed, given back at
// once when freed, and backed by huge pages, which saves TLB misses while
// weights stream past.
constexpr size_t kMapFrom = size_t{1} << 21;

}  // namespace

Buffer::Buffer(size_t bytes) : bytes_(bytes) {
  if (bytes == 0) return;
  g_allocations.fetch_add(1, std::memory_order_relaxed);
  void* data = nullptr;
  if (bytes >= kMapFrom) {
    mapped_ = true;
    data = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (data == MAP_FAILED) data = nullptr;
    if (data != nullptr) ::madvise(data, bytes, MADV_HUGEPAGE);
  } else {
    const size_t rounded = (bytes + kAlignment - 1) / kAlignment * kAlignment;
    data = std::aligned_alloc(kAlignment, rounded);
    if (data != nullptr) std::memset(data, 0, rounded);
  }
  if (data == nullptr)
    Fail(ErrorCode::kOutOfMemory, "out of memory: wanted {} bytes", bytes);
  data_ = static_cast<std::byte*>(data);
}

Buffer::~Buffer() {
  if (data_ == nullptr) return;
  if (mapped_) {
    ::munmap(data_, bytes_);
  } else {
    std::free(data_);
  }
}

uint64_t Buffer::allocations() {
  return g_allocations.load(std::memory_order_relaxed);
}

}  // namespace sotto
