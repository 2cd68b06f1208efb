// SPDX-License-Identifier: MIT
// For tests: runs the compiled tile kernels on a machine without tiles. Each
// tile instruction raises SIGILL there; the handler decodes it and has
// EmulatedTiles do it. So the very code that ships is tested everywhere: its
// configurations, addresses and strides, and that the compiler stored what the
// tile unit reads.
#pragma once

namespace sotto::cpu::x86 {

// While an object lives, tile instructions are emulated in all threads, each
// with tiles of its own. Does nothing where the machine has tiles. One at a
// time; not under ThreadSanitizer, which delays signals.
class TileTrap {
 public:
  TileTrap();
  ~TileTrap();
  TileTrap(const TileTrap&) = delete;
  TileTrap& operator=(const TileTrap&) = delete;

  // Tile instructions that were emulated in this process so far.
  static long count();
};

}  // namespace sotto::cpu::x86
