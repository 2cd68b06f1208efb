// SPDX-License-Identifier: MIT
// What the tests of this folder share: the kernels under test, random bf16
// values, memory that ends at a page nobody may touch.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <random>
#include <span>
#include <vector>

#include "base/cpu.h"
#include "cpu/kernel.h"
#include "cpu/x86/tile_trap.h"
#include "tensor/buffer.h"
#include "tensor/half.h"

namespace sotto::cpu::x86 {

// Whether vdpbf16ps runs here; everything in this folder needs it.
inline bool HasBF16() { return HostFeatures().avx512_bf16; }

#define SKIP_WITHOUT_BF16() \
  if (!HasBF16()) GTEST_SKIP() << "needs avx512_bf16"

// Elements up against the end of a mapped page: reading or writing one more
// is a crash.
template <typename T>
class Guarded {
 public:
  explicit Guarded(size_t count) : count_(count) {
    const auto page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
    bytes_ = (count * sizeof(T) + page - 1) / page * page + page;
    void* map = ::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED) throw std::bad_alloc();
    map_ = static_cast<char*>(map);
    ::mprotect(map_ + bytes_ - page, page, PROT_NONE);
    data_ = static_cast<T*>(
        static_cast<void*>(map_ + bytes_ - page - count * sizeof(T)));
  }
  ~Guarded() { ::munmap(map_, bytes_); }
  Guarded(const Guarded&) = delete;
  Guarded& operator=(const Guarded&) = delete;

  T* data() { return data_; }
  const T* data() const { return data_; }
  size_t size() const { return count_; }
  T& operator[](size_t i) { return data_[i]; }
  const T& operator[](size_t i) const { return data_[i]; }

 private:
  char* map_;
  size_t count_, bytes_;
  T* data_;
};

class Random {
 public:
  explicit Random(uint32_t seed) : engine_(seed) {}
  float Normal(float scale = 1) {
    return std::normal_distribution<float>(0, scale)(engine_);
  }
  BF16 Value(float scale = 1) { return ToBF16(Normal(scale)); }
  template <typename Values>
  void Fill(Values& values, float scale = 1) {
    for (size_t i = 0; i < values.size(); ++i) Set(values[i], Normal(scale));
  }
  uint32_t Bits() { return static_cast<uint32_t>(engine_()); }

 private:
  static void Set(float& to, float value) { to = value; }
  static void Set(BF16& to, float value) { to = ToBF16(value); }
  std::mt19937 engine_;
};

inline constexpr double kUnit = 0x1p-24;  // half a unit in the last place

}  // namespace sotto::cpu::x86
