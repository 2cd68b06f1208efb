// SPDX-License-Identifier: MIT
// The core's stack, as far as the kernels that reproduce published ones need
// it: their locals stand where the core would have put them, so a stack that is
// too small behaves as it did there. On the core these are plain locals.
//
// The stack lies in the tile's data memory and grows upward. The simulator
// installs one around each call (ScopedTileStack); without one, locals live in
// ordinary memory and cannot collide with anything.
#pragma once

#include <cstddef>
#include <cstdint>

namespace sotto::npu {

#if defined(__AIE_ARCH__) || defined(__aie__)

template <typename Locals>
class Frame {
 public:
  Locals* operator->() { return &locals_; }

 private:
  Locals locals_;
};

#else

struct TileStack {
  // What running past the end does: the caller refuses the call, or locals
  // overwrite what lies behind, as on the hardware.
  enum class Overflow : uint8_t { kFault, kCorrupt };

  std::byte* memory = nullptr;  // the tile's data memory
  int64_t memory_bytes = 0;
  int64_t address = 0;  // of the stack
  int64_t bytes = 0;
  int64_t used = 0;  // by the callers of the kernel
  Overflow overflow = Overflow::kFault;

  // Whether a kernel with this frame may run: always in kCorrupt, as long as
  // the frame ends within the memory.
  bool Fits(int64_t frame_bytes) const {
    const int64_t end = used + frame_bytes;
    return overflow == Overflow::kFault ? end <= bytes
                                        : address + end <= memory_bytes;
  }
};

// What stands on the stack below a kernel in the published builds: _main_init
// 32 bytes, the core's main 64 (spill offsets in their ELF prologues).
inline constexpr int64_t kCompatCallerBytes = 96;

// Installs `stack` for this thread until destroyed. The caller has asked
// Fits(frame_bytes of the kernel) before the call.
class ScopedTileStack {
 public:
  explicit ScopedTileStack(TileStack& stack);
  ~ScopedTileStack();
  ScopedTileStack(const ScopedTileStack&) = delete;
  ScopedTileStack& operator=(const ScopedTileStack&) = delete;

 private:
  TileStack* previous_;
};

// Where a frame of `bytes` starts, and puts it there; null: no tile stack.
std::byte* PushFrame(int64_t bytes) noexcept;
void PopFrame(int64_t bytes) noexcept;

// The locals of one compat kernel: `Locals` is laid out as its frame.
template <typename Locals>
class Frame {
 public:
  Frame() noexcept
      : locals_(reinterpret_cast<Locals*>(PushFrame(sizeof(Locals)))) {
    if (locals_ == nullptr) locals_ = &own_;
  }
  ~Frame() {
    if (locals_ != &own_) PopFrame(sizeof(Locals));
  }
  Frame(const Frame&) = delete;
  Frame& operator=(const Frame&) = delete;
  Locals* operator->() { return locals_; }

 private:
  Locals own_;
  Locals* locals_;
};

#endif

}  // namespace sotto::npu
