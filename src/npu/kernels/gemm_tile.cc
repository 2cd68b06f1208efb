// SPDX-License-Identifier: MIT
// Matrix products of one tile: 64 x 64 of sums in L1, 64 or 128 of K. Layouts
// and bits as in gemm.cc, whose kernels take any shape and pay for it: each
// block of sums enters and leaves their innermost loop.
//
// Here K is known, so the loop over blocks of sums is the innermost one and is
// software-pipelined: while a block is multiplied, the one before it goes and
// the one after it comes. Four accumulators for either: a multiply may read
// another accumulator than it writes (VMAC dst, acc, ..., llvm-aie), so a
// block's first products take what has come and free its registers.
// costs_gemm.cc has the slots.
#include "npu/kernels/device.h"
#include "npu/kernels/elementary.h"

namespace sotto::npu {
namespace {

constexpr int kSide = 64;
constexpr int kSums = 32;  // of a block of 4 x 8, in one accumulator

// 2 x 2 blocks of 4 x 8 sums. K of a multiply: 8 of int8, 4 of int16.
template <unsigned K, int kSteps, typename T>
struct CodeTile {
  using Mmul = vec::mmul<4, K, 8, T, int8_t>;
  static constexpr int kA = 4 * static_cast<int>(K);
  static constexpr int kW = 8 * static_cast<int>(K);
  static constexpr int kAcross = kSide / 16;
  static constexpr int kBlocks = kSide / 8 * kAcross;
  using Sum = int32_t;
  using Block = Mmul[2][2];

  static SOTTO_INLINE Sum* At(Sum* acc, int block, int r, int b) {
    const int row = block / kAcross * 2 + r;
    const int column = block % kAcross * 2 + b;
    return acc + (row * (kSide / 8) + column) * kSums;
  }
  // `clear`: a bit of the multiply that takes them, not an operation.
  static SOTTO_INLINE void Load(Sum* acc, int block, bool clear, Block& c) {
    const auto zero = vec::zeros<int32_t, kSums>();
    for (int r = 0; r < 2; ++r)
      for (int b = 0; b < 2; ++b)
        c[r][b] = Mmul(clear ? zero : vec::load_v<kSums>(At(acc, block, r, b)));
  }
  static SOTTO_INLINE void Store(const Block& c, int block, Sum* acc) {
    for (int r = 0; r < 2; ++r)
      for (int b = 0; b < 2; ++b)
        vec::store_v(At(acc, block, r, b),
                     c[r][b].template to_vector<int32_t>());
  }
  static SOTTO_INLINE void Multiply(const T* a, const int8_t* w, int block,
                                    Block& c) {
    a += block / kAcross * 2 * kSteps * kA;
    w += block % kAcross * 2 * kSteps * kW;
    SOTTO_UNROLL
    for (int l = 0; l < kSteps; ++l) {
      const auto x0 = vec::load_v<kA>(a + l * kA);
      const auto x1 = vec::load_v<kA>(a + (kSteps + l) * kA);
      for (int b = 0; b < 2; ++b) {
        const auto y = vec::load_v<kW>(w + (b * kSteps + l) * kW);
        c[0][b].mac(x0, y);
        c[1][b].mac(x1, y);
      }
    }
  }
};

// 2 x 4 blocks of 4 x 4 sums, half an accumulator each.
struct Bf16Tile {
  using Mmul = vec::mmul<4, 8, 4, bf16, bf16>;
  static constexpr int kSteps = kSide / 8;
  static constexpr int kAcross = kSide / 16;
  static constexpr int kBlocks = kSide / 8 * kAcross;
  using Sum = float;
  using Block = Mmul[2][4];

  static SOTTO_INLINE Sum* At(Sum* acc, int block, int r, int b) {
    const int row = block / kAcross * 2 + r;
    const int column = block % kAcross * 4 + b;
    return acc + (row * (kSide / 4) + column) * 16;
  }
  static SOTTO_INLINE void Load(Sum* acc, int block, bool clear, Block& c) {
    const Floats zero = Float16(0.0F);
    for (int r = 0; r < 2; ++r)
      for (int b = 0; b < 4; ++b)
        c[r][b] = Mmul(clear ? zero : vec::load_v<16>(At(acc, block, r, b)));
  }
  static SOTTO_INLINE void Store(const Block& c, int block, Sum* acc) {
    for (int r = 0; r < 2; ++r)
      for (int b = 0; b < 4; ++b)
        vec::store_v(At(acc, block, r, b), c[r][b].to_vector<float>());
  }
  static SOTTO_INLINE void Multiply(const bf16* a, const bf16* w, int block,
                                    Block& c) {
    a += block / kAcross * 2 * kSteps * 32;
    w += block % kAcross * 4 * kSteps * 32;
    SOTTO_UNROLL
    for (int l = 0; l < kSteps; ++l) {
      const auto x0 = vec::load_v<32>(a + l * 32);
      const auto x1 = vec::load_v<32>(a + (kSteps + l) * 32);
      for (int b = 0; b < 4; ++b) {
        const auto y = vec::load_v<32>(w + (b * kSteps + l) * 32);
        c[0][b].mac(x0, y);
        c[1][b].mac(x1, y);
      }
    }
  }
};

template <typename Tile, typename A, typename W>
SOTTO_INLINE void GemmTile(const A* SOTTO_RESTRICT a, const W* SOTTO_RESTRICT w,
                           typename Tile::Sum* SOTTO_RESTRICT acc, int step) {
  vec::set_saturation(vec::saturation_mode::none);
  typename Tile::Block next;
  Tile::Load(acc, 0, step == 0, next);
  for (int block = 0; block < Tile::kBlocks; ++block) {
    typename Tile::Block c;
    __builtin_memcpy(&c, &next, sizeof(c));
    Tile::Multiply(a, w, block, c);
    // Behind the end the last block comes again, to nobody.
    Tile::Load(acc, block + 1 < Tile::kBlocks ? block + 1 : block, step == 0,
               next);
    Tile::Store(c, block, acc);
  }
}

SOTTO_INLINE void gemm_tile_i8_body(const int8_t* a, const int8_t* w,
                                    int32_t* acc, int step) {
  GemmTile<CodeTile<8, 2 * kSide / 8, int8_t>>(a, w, acc, step);
}
SOTTO_INLINE void gemm_tile_i16_i8_body(const int16_t* a, const int8_t* w,
                                        int32_t* acc, int step) {
  GemmTile<CodeTile<4, kSide / 4, int16_t>>(a, w, acc, step);
}
SOTTO_INLINE void gemm_tile_bf16_body(const bf16* a, const bf16* w, float* acc,
                                      int step) {
  GemmTile<Bf16Tile>(a, w, acc, step);
}

}  // namespace
}  // namespace sotto::npu

using namespace sotto::npu;  // NOLINT: the symbols below are the device's

SOTTO_KERNEL(gemm_tile_i8,
             (const int8_t* a, const int8_t* w, int32_t* acc, int32_t step),
             (a, w, acc, step))
SOTTO_KERNEL(gemm_tile_i16_i8,
             (const int16_t* a, const int8_t* w, int32_t* acc, int32_t step),
             (a, w, acc, step))
SOTTO_KERNEL(gemm_tile_bf16,
             (const vec::bf16* a, const vec::bf16* w, float* acc, int32_t step),
             (a, w, acc, step))
