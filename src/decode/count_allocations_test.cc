// SPDX-License-Identifier: MIT
// Counts what this test program allocates. In a file
// of its own: inlined into the tests, GCC takes malloc and delete for a
// mismatch.
#include <atomic>
#include <cstdlib>
#include <new>

#include "decode/test_util.h"

static std::atomic<long> allocations{0};

void* operator new(size_t size) {
  ++allocations;
  if (void* memory = std::malloc(size == 0 ? 1 : size)) return memory;
  throw std::bad_alloc();
}
void* operator new(size_t size, const std::nothrow_t&) noexcept {
  ++allocations;
  return std::malloc(size == 0 ? 1 : size);
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }

namespace sotto::testing {

long Allocations() { return allocations; }

}  // namespace sotto::testing
