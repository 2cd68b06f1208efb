// SPDX-License-Identifier: MIT
// The second half of attention (flash.cc): probabilities times V, and the way
// out.
#include "npu/kernels/device.h"
#include "npu/kernels/flash_state.h"

namespace sotto::npu {
namespace {

SOTTO_INLINE Floats LoadUnless(bool first, const float* p) {
  return first ? Float16(0.0F) : vec::load_v<16>(p);
}

// Adds 16 rows' probabilities to their sums: a product with ones.
SOTTO_INLINE void AddSums(const bf16* p, const FlashState& state, int i,
                          int key_blocks, bool first) {
  using Mmul = vec::mmul<4, 8, 4, bf16, bf16>;
  const auto ones = vec::broadcast<bf16, 32>(vec::ToBf16(1.0F));
  Mmul c[4];
  for (int r = 0; r < 4; ++r) c[r] = Mmul(LoadUnless(first, state.Sum(i + r)));
  for (int l = 0; l < key_blocks; ++l)
    for (int r = 0; r < 4; ++r)
      c[r].mac(vec::load_v<32>(p + (r * key_blocks + l) * 32), ones);
  for (int r = 0; r < 4; ++r)
    vec::store_v(state.Sum(i + r), c[r].to_vector<float>());
}

// 16 rows by 16 columns at a time: sixteen of the eighteen half accumulators.
struct ValueTile {
  using Mmul = vec::mmul<4, 8, 4, bf16, bf16>;
  const bf16* p;  // of the rows
  const bf16* v;  // of the columns
  int key_blocks, d_blocks;
  Mmul c[4][4];

  // Products with keys 8 l to 8 l + 7; then, where it is the last, a block's
  // sums go while the next block's are made.
  template <bool kStore>
  SOTTO_INLINE void Add(int l, float* out, int stride) {
    vec::vector<bf16, 32> x[4];
    for (int r = 0; r < 4; ++r)
      x[r] = vec::load_v<32>(p + (r * key_blocks + l) * 32);
    for (int b = 0; b < 2; ++b) {
      // Two blocks of 4 keys x 8 columns to two of 8 keys x 4 columns.
      const bf16* at = v + (2 * l * d_blocks + b) * 32;
      const auto [left, right] = vec::interleave_unzip<4>(
          vec::load_v<32>(at), vec::load_v<32>(at + d_blocks * 32));
      for (int r = 0; r < 4; ++r) {
        c[r][2 * b].mac(x[r], left);
        c[r][2 * b + 1].mac(x[r], right);
        if constexpr (!kStore) continue;
        float* to = out + r * stride + 2 * b * 16;
        vec::store_v(to, c[r][2 * b].template to_vector<float>());
        vec::store_v(to + 16, c[r][2 * b + 1].template to_vector<float>());
      }
    }
  }
};
SOTTO_INLINE void flash_values_body(const bf16* p, const bf16* v,
                                    float* state_buffer, int rows, int keys,
                                    int d, int block) {
  const FlashState state(state_buffer, rows, d);
  const int key_blocks = keys / 8;
  for (int i = 0; i < rows / 4; i += 4) {
    const bf16* p0 = p + i * key_blocks * 32;
    AddSums(p0, state, i, key_blocks, block == 0);
    for (int j = 0; j < d / 8; j += 2) {
      float* out = state.Out(i) + 2 * j * 16;
      ValueTile tile{p0, v + j * 32, key_blocks, d / 8, {}};
      for (int r = 0; r < 4; ++r)
        for (int b = 0; b < 4; ++b)
          tile.c[r][b] = ValueTile::Mmul(
              LoadUnless(block == 0, out + r * state.Stride() + b * 16));
      for (int l = 0; l < key_blocks - 1; ++l)
        tile.Add<false>(l, out, state.Stride());
      tile.Add<true>(key_blocks - 1, out, state.Stride());
    }
  }
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
SOTTO_KERNEL(flash_finish_bf16,
             (const float* state, vec::bf16* out, int32_t rows, int32_t d),
             (state, out, rows, d))
SOTTO_KERNEL(flash_finish_i16,
             (const float* state, int16_t* out, int32_t rows, int32_t d),
             (state, out, rows, d))
