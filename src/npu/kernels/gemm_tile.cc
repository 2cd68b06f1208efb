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

// 2 x 2 blocks of 4 x 8 sums, an accumulator each, or 2 x 4 of 4 x 4, which are
// halves. K: of a multiply; it takes kSteps of them.
template <typename A, typename W, typename Total, unsigned K, unsigned N,
          int kSteps>
struct Tile {
  using Mmul = vec::mmul<4, K, N, A, W>;
  static constexpr int kSums = 4 * static_cast<int>(N);
  static constexpr int kWide = 16 / static_cast<int>(N);
  static constexpr int kA = 4 * static_cast<int>(K);
  static constexpr int kW = static_cast<int>(K * N);
  static constexpr int kAcross = kSide / 16;
  static constexpr int kBlocks = kSide / 8 * kAcross;
  using Sum = Total;
  using Block = Mmul[2][kWide];

  static SOTTO_INLINE Sum* At(Sum* acc, int block, int r, int b) {
    const int row = block / kAcross * 2 + r;
    const int column = block % kAcross * kWide + b;
    return acc + (row * (kWide * kAcross) + column) * kSums;
  }
  // `clear`: a bit of the multiply that takes them, not an operation.
  static SOTTO_INLINE void Load(Sum* acc, int block, bool clear, Block& c) {
    const auto zero = vec::zeros<Sum, kSums>();
    for (int r = 0; r < 2; ++r)
      for (int b = 0; b < kWide; ++b)
        c[r][b] = Mmul(clear ? zero : vec::load_v<kSums>(At(acc, block, r, b)));
  }
  static SOTTO_INLINE void Store(const Block& c, int block, Sum* acc) {
    for (int r = 0; r < 2; ++r)
      for (int b = 0; b < kWide; ++b)
        vec::store_v(At(acc, block, r, b), c[r][b].template to_vector<Sum>());
  }
  static SOTTO_INLINE void Multiply(const A* a, const W* w, int block,
                                    Block& c) {
    a += block / kAcross * 2 * kSteps * kA;
    w += block % kAcross * kWide * kSteps * kW;
    SOTTO_UNROLL
    for (int l = 0; l < kSteps; ++l) {
      const auto x0 = vec::load_v<kA>(a + l * kA);
      const auto x1 = vec::load_v<kA>(a + (kSteps + l) * kA);
      for (int b = 0; b < kWide; ++b) {
        const auto y = vec::load_v<kW>(w + (b * kSteps + l) * kW);
        c[0][b].mac(x0, y);
        c[1][b].mac(x1, y);
      }
    }
  }
};
using Int8Tile = Tile<int8_t, int8_t, int32_t, 8, 8, 2 * kSide / 8>;
using Int16Tile = Tile<int16_t, int8_t, int32_t, 4, 8, kSide / 4>;
using Bf16Tile = Tile<bf16, bf16, float, 8, 4, kSide / 8>;

template <typename T, typename A, typename W>
SOTTO_INLINE void GemmTile(const A* SOTTO_RESTRICT a, const W* SOTTO_RESTRICT w,
                           typename T::Sum* SOTTO_RESTRICT acc, int step) {
  vec::set_saturation(vec::saturation_mode::none);
  typename T::Block next;
  T::Load(acc, 0, step == 0, next);
  for (int block = 0; block < T::kBlocks; ++block) {
    typename T::Block c;
    __builtin_memcpy(&c, &next, sizeof(c));
    T::Multiply(a, w, block, c);
    // Behind the end the last block comes again, to nobody.
    T::Load(acc, block + 1 < T::kBlocks ? block + 1 : block, step == 0, next);
    T::Store(c, block, acc);
  }
}

SOTTO_INLINE void gemm_tile_i8_body(const int8_t* a, const int8_t* w,
                                    int32_t* acc, int step) {
  GemmTile<Int8Tile>(a, w, acc, step);
}
SOTTO_INLINE void gemm_tile_i16_i8_body(const int16_t* a, const int8_t* w,
                                        int32_t* acc, int step) {
  GemmTile<Int16Tile>(a, w, acc, step);
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
