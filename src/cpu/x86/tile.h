// SPDX-License-Identifier: MIT
// The tile unit (AMX), and an emulation of it that agrees in every bit. No
// other file names a tile instruction: kernels are templates over one of the
// two classes and call these few operations.
//
// The instructions are written in assembly here. GCC 12's own intrinsics
// declare only 8 of the 64 bytes of a configuration as read, and nothing of
// what a tile load reads, so at -O3 it drops the stores that filled them. Here
// the configuration is an operand as a whole, and loads and stores clobber
// memory: whatever was written before is in memory when the tile unit looks.
#pragma once

#include <cstdint>

#include "cpu/x86/target.h"

#define SOTTO_AMX                                                \
  __attribute__((                                                \
      target("avx2,fma,f16c,avx512f,avx512bw,avx512cd,avx512dq," \
             "avx512vl,avx512bf16,amx-tile,amx-bf16")))
#define SOTTO_AMX_INLINE SOTTO_AMX __attribute__((always_inline)) inline

namespace sotto::cpu::x86 {

inline constexpr int64_t kTileRows = 16;
inline constexpr int64_t kTileBytes = 1024;  // 16 rows of 64
inline constexpr int kTiles = 8;

// What ldtilecfg reads: palette 1, eight tiles of up to 16 rows of 64 bytes.
struct alignas(64) TileConfig {
  uint8_t palette = 1;
  uint8_t start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};

  constexpr void Set(int tile, int64_t tile_rows, int64_t bytes = 64) {
    rows[tile] = static_cast<uint8_t>(tile_rows);
    row_bytes[tile] = static_cast<uint16_t>(bytes);
  }
};
static_assert(sizeof(TileConfig) == 64);

// The machine's own tiles. Configured while an object lives: a kernel makes
// one for each task of a thread, which costs some hundred cycles for a task of
// ten thousands, and so leaves no tile state behind for the system to save
// when the thread sleeps or runs other code.
class HardwareTiles {
 public:
  SOTTO_AMX_INLINE explicit HardwareTiles(const TileConfig& config) {
    asm volatile("ldtilecfg %0" : : "m"(config) : "memory");
  }
  SOTTO_AMX_INLINE ~HardwareTiles() {
    asm volatile("tilerelease" : : : "memory");
  }
  HardwareTiles(const HardwareTiles&) = delete;
  HardwareTiles& operator=(const HardwareTiles&) = delete;

  template <int T>
  SOTTO_AMX_INLINE void Zero() {
    asm volatile("tilezero %%tmm%c0" : : "i"(T));
  }
  // Rows of a tile, `stride` bytes apart.
  template <int T>
  SOTTO_AMX_INLINE void Load(const void* from, int64_t stride) {
    asm volatile("tileloadd (%0,%1,1), %%tmm%c2"
                 :
                 : "r"(from), "r"(stride), "i"(T)
                 : "memory");
  }
  // The same for data that need not stay in the first cache.
  template <int T>
  SOTTO_AMX_INLINE void LoadOnce(const void* from, int64_t stride) {
    asm volatile("tileloaddt1 (%0,%1,1), %%tmm%c2"
                 :
                 : "r"(from), "r"(stride), "i"(T)
                 : "memory");
  }
  template <int T>
  SOTTO_AMX_INLINE void Store(void* to, int64_t stride) {
    asm volatile("tilestored %%tmm%c2, (%0,%1,1)"
                 :
                 : "r"(to), "r"(stride), "i"(T)
                 : "memory");
  }
  // C += A B in bf16 (Order::kTile).
  template <int C, int A, int B>
  SOTTO_AMX_INLINE void Dot() {
    asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0"
                 :
                 : "i"(C), "i"(A), "i"(B));
  }
};

// The same in plain memory, on any machine with AVX-512. Meaning: Intel's
// Software Developer's Manual, volume 2, TDPBF16PS.
class EmulatedTiles {
 public:
  explicit EmulatedTiles(const TileConfig& config) : config_(config) {}
  EmulatedTiles(const EmulatedTiles&) = delete;
  EmulatedTiles& operator=(const EmulatedTiles&) = delete;

  template <int T>
  void Zero() {
    std::memset(tile_[T], 0, sizeof tile_[T]);
  }
  template <int T>
  void Load(const void* from, int64_t stride) {
    LoadTile(T, from, stride);
  }
  template <int T>
  void LoadOnce(const void* from, int64_t stride) {
    LoadTile(T, from, stride);
  }
  template <int T>
  void Store(void* to, int64_t stride) {
    StoreTile(T, to, stride);
  }
  template <int C, int A, int B>
  void Dot() {
    DotTiles(C, A, B);
  }

  // The same with numbers of tiles that are known only when it runs.
  void LoadTile(int tile, const void* from, int64_t stride);
  void StoreTile(int tile, void* to, int64_t stride) const;
  void ZeroTile(int tile) { std::memset(tile_[tile], 0, sizeof tile_[tile]); }
  void DotTiles(int c, int a, int b);

 private:
  TileConfig config_;
  alignas(64) uint8_t tile_[kTiles][16][64] = {};
};

}  // namespace sotto::cpu::x86
