// SPDX-License-Identifier: MIT
// The second half of attention (flash.cc): probabilities times V, and the way
// out.
#include "npu/kernels/device.h"
#include "npu/kernels/flash_state.h"

namespace sotto::npu {
namespace {

// 16 rows by 8 columns of the output: eight halves of accumulators.
struct ValueBlock {
  using Mmul = vec::mmul<4, 8, 4, bf16, bf16>;
  Mmul c[4][2];

  SOTTO_INLINE void Load(const FlashState& state, int i, int j, bool first) {
    for (int r = 0; r < 4; ++r)
      for (int b = 0; b < 2; ++b)
        c[r][b] = Mmul(LoadUnless(first, state.Out(i + r) + (2 * j + b) * 16));
  }
  SOTTO_INLINE void Store(const FlashState& state, int i, int j) const {
    for (int r = 0; r < 4; ++r)
      for (int b = 0; b < 2; ++b)
        vec::store_v(state.Out(i + r) + (2 * j + b) * 16,
                     c[r][b].template to_vector<float>());
  }
  // p: of the rows, v: of the columns, eight keys.
  SOTTO_INLINE void Multiply(const bf16* p, int p_step, const bf16* v,
                             int v_step) {
    // Two blocks of 4 keys x 8 columns to two of 8 keys x 4 columns.
    const auto [left, right] = vec::interleave_unzip<4>(
        vec::load_v<32>(v), vec::load_v<32>(v + v_step));
    for (int r = 0; r < 4; ++r) {
      const auto x = vec::load_v<32>(p + r * p_step);
      c[r][0].mac(x, left);
      c[r][1].mac(x, right);
    }
  }
};
// kTile: all sizes, known when compiled, or 0. As in gemm_tile.cc a block's
// sums come while the one before it is made, and go while the next one is.
template <int kTile>
SOTTO_INLINE void FlashValues(const bf16* SOTTO_RESTRICT p,
                              const bf16* SOTTO_RESTRICT v,
                              float* SOTTO_RESTRICT state_buffer, int rows,
                              int keys, int d, int block) {
  if (kTile > 0) rows = keys = d = kTile;
  const FlashState state(state_buffer, rows, d);
  const bool first = block == 0;
  const int columns = d / 8;
  ValueBlock next;
  next.Load(state, 0, 0, first);
  int i = 0;
  int j = 0;
  for (int n = rows / 16 * columns; n > 0; --n) {
    ValueBlock now = next;
    SOTTO_UNROLL
    for (int l = 0; l < keys / 8; ++l)
      now.Multiply(p + (i * (keys / 8) + l) * 32, keys / 8 * 32,
                   v + (2 * l * columns + j) * 32, columns * 32);
    const bool end = j + 1 == columns;
    const int next_i = end && n > 1 ? i + 4 : i;
    const int next_j = end ? 0 : j + 1;
    // Behind the end some block comes again, to nobody.
    next.Load(state, next_i, next_j, first);
    now.Store(state, i, j);
    i = next_i;
    j = next_j;
  }
}
SOTTO_INLINE void flash_values_body(const bf16* p, const bf16* v, float* state,
                                    int rows, int keys, int d, int block) {
  FlashValues<0>(p, v, state, rows, keys, d, block);
}
SOTTO_INLINE void flash_tile_values_body(const bf16* p, const bf16* v,
                                         float* state, int block) {
  FlashValues<64>(p, v, state, 64, 64, 64, block);
}

// The output divided by the sum, in blocks of 4x4: two are eight columns.
struct Finished {
  Floats left, right;
};
SOTTO_INLINE Finished FinishBlock(const FlashState& state, int i, int j,
                                  const TwoParts& inverse) {
  const float* p = state.Out(i) + 2 * j * 16;
  const Sums zero(Float16(0.0F));
  return {Result(MacTwo(zero, SplitTwo(vec::load_v<16>(p)), inverse)),
          Result(MacTwo(zero, SplitTwo(vec::load_v<16>(p + 16)), inverse))};
}
// store(at, block): of 4x8 outputs, element `at` on.
template <typename Store>
SOTTO_INLINE void FinishBlocks(const float* state_buffer, int rows, int d,
                               const Store& store) {
  SetProductionModes();
  const FlashState state(const_cast<float*>(state_buffer), rows, d);
  for (int i = 0; i < rows / 4; ++i) {
    const TwoParts inverse =
        SplitTwo(ReciprocalTwo(vec::load_v<16>(state.Sum(i))));
    for (int j = 0; j < d / 8; ++j)
      store((i * (d / 8) + j) * 32, FinishBlock(state, i, j, inverse));
  }
}
SOTTO_INLINE void flash_finish_bf16_body(const float* state_buffer, bf16* out,
                                         int rows, int d) {
  FinishBlocks(state_buffer, rows, d, [=](int at, const Finished& v) {
    const auto [low, high] = vec::interleave_zip<4>(v.left, v.right);
    vec::store_v(out + at, vec::concat(ToHalves(low), ToHalves(high)));
  });
}
// To codes of 12 bits for the next product, [rows/4][d/4][4][4]; whoever makes
// V scales it for that.
SOTTO_INLINE void flash_finish_i16_body(const float* state_buffer, int16_t* out,
                                        int rows, int d) {
  constexpr auto kMost = static_cast<float>(kWideCodes);
  FinishBlocks(state_buffer, rows, d, [=](int at, const Finished& v) {
    const ShortSums codes(
        vec::concat(ToRange(v.left, kMost), ToRange(v.right, kMost)));
    vec::store_v(out + at, codes.to_vector<int16_t>());
  });
}

}  // namespace
}  // namespace sotto::npu

using namespace sotto::npu;  // NOLINT: the symbols below are the device's

SOTTO_KERNEL(flash_values,
             (const vec::bf16* p, const vec::bf16* v, float* state,
              int32_t rows, int32_t keys, int32_t d, int32_t block),
             (p, v, state, rows, keys, d, block))
SOTTO_KERNEL(flash_tile_values,
             (const vec::bf16* p, const vec::bf16* v, float* state,
              int32_t block),
             (p, v, state, block))
SOTTO_KERNEL(flash_finish_bf16,
             (const float* state, vec::bf16* out, int32_t rows, int32_t d),
             (state, out, rows, d))
SOTTO_KERNEL(flash_finish_i16,
             (const float* state, int16_t* out, int32_t rows, int32_t d),
             (state, out, rows, d))
