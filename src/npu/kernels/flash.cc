// SPDX-License-Identifier: MIT
// Flash attention: a block of queries stays, blocks of keys and values stream
// by; a running reference maximum and a running sum make one softmax of all of
// them. Scores never leave the core.
//
// Q, K, V and the output have the activations' layout, [rows/4][d/8][4][8] of
// one head. Scores are logarithms to base 2: whoever makes Q folds log2(e) /
// sqrt(d) into it, so no score is multiplied here; all are below 2^14. int8: Q
// and K are int8 whose scales multiply to a power of two, so that score = (Q
// K^T) 2^-shift, shift 8 to 20; V, probabilities and the output stay bf16. Q
// may be some columns of a tile `q_width` wide.
//
// flash_scores_* turns a block of keys into probabilities, flash_values adds
// them times V: K is free for the next keys while V is at work. rows of 16,
// keys of 16, d of 16.
//
// state: flash_state.h.
// p: [rows/4][keys/8][4][8], first the scores as 16-bit numbers, then in their
// place the bf16 probabilities.
//
// A score counts in steps of 2^-8 from a whole number, its row's reference; 32
// of them are one vector, where floats are two. The whole part of a number and
// the exponent of the probability then are the same bits, and a quadratic of
// the fraction gives the mantissa. What is further below than 2^-127 saturates
// at zero.
//
// The reference is at or above the row's maximum when it is set and moves only
// when a score rises more than 2^kSlack above it: bf16 and f32 hold large
// probabilities as well as small ones, so hardly any block rescales the output
// (a published trick of attention kernels; exact but for rounding).
#include "npu/kernels/device.h"
#include "npu/kernels/flash_state.h"

namespace sotto::npu {
namespace {

// --- scores -----------------------------------------------------------------
//
// Tile(i, j, whole, c): sums of rows 4 i to 4 i + 15 with keys 8 j to 8 j + 15,
// as numbers that need `offset` and Shift() to count in steps, or, `whole`, in
// whole numbers.

// Two blocks of four keys each, as floats that hold steps, to one of eight.
struct Bf16Scores {
  const bf16* q;
  const bf16* k;
  int d_blocks;

  SOTTO_INLINE int Bits() const { return kStepBits; }
  SOTTO_INLINE int Shift(bool) const { return 0; }
  SOTTO_INLINE int32_t Offset(bool whole) const {
    return whole ? -kRoundBits : -kRoundStepsBits;
  }
  SOTTO_INLINE void Tile(int i, int j, bool whole, Totals (&out)[4][2]) const {
    using Mmul = vec::mmul<4, 8, 4, bf16, bf16>;
    Mmul c[4][4];
    for (int l = 0; l < d_blocks; ++l) {
      vec::vector<bf16, 32> x[4];
      for (int r = 0; r < 4; ++r)
        x[r] = vec::load_v<32>(q + ((i + r) * d_blocks + l) * 32);
      for (int b = 0; b < 4; ++b) {
        const auto y = vec::transpose<4, 8>(
            vec::load_v<32>(k + ((2 * j + b) * d_blocks + l) * 32));
        for (int r = 0; r < 4; ++r) {
          if (l == 0)
            c[r][b].mul(x[r], y);
          else
            c[r][b].mac(x[r], y);
        }
      }
    }
    const Floats magic = Float16(whole ? kRound : kRoundSteps);
    for (int r = 0; r < 4; ++r) {
      for (int b = 0; b < 2; ++b) {
        const auto numbers = [&](int at) SOTTO_INLINE_LAMBDA {
          return vec::add(c[r][at].template to_vector<float>(), magic)
              .template cast_to<int32_t>();
        };
        const auto [low, high] =
            vec::interleave_zip<4>(numbers(2 * b), numbers(2 * b + 1));
        out[r][b] = Totals(vec::concat(low, high));
      }
    }
  }
};

struct Int8Scores {
  const int8_t* q;
  const int8_t* k;
  int d_blocks;
  int q_blocks;  // of a row of Q in memory
  int shift;

  SOTTO_INLINE int Bits() const { return shift; }
  SOTTO_INLINE int Shift(bool whole) const {
    return whole ? shift : shift - kStepBits;
  }
  SOTTO_INLINE int32_t Offset(bool) const { return 0; }
  SOTTO_INLINE void Tile(int i, int j, bool, Totals (&out)[4][2]) const {
    using Mmul = vec::mmul<4, 8, 8, int8_t, int8_t>;
    Mmul c[4][2];
    for (int l = 0; l < d_blocks; ++l) {
      vec::vector<int8_t, 32> x[4];
      for (int r = 0; r < 4; ++r)
        x[r] = vec::load_v<32>(q + ((i + r) * q_blocks + l) * 32);
      for (int b = 0; b < 2; ++b) {
        const int8_t* p = k + (2 * (j + b) * d_blocks + l) * 32;
        const auto y = vec::transpose<8, 8>(vec::concat(
            vec::load_v<32>(p), vec::load_v<32>(p + d_blocks * 32)));
        for (int r = 0; r < 4; ++r) {
          if (l == 0)
            c[r][b].mul(x[r], y);
          else
            c[r][b].mac(x[r], y);
        }
      }
    }
    for (int r = 0; r < 4; ++r)
      for (int b = 0; b < 2; ++b) out[r][b] = c[r][b].to_accum();
  }
};

// A block of keys: its number, how many, and how many there are in all.
struct Keys {
  int block, keys, valid;
  SOTTO_INLINE int Blocks() const { return keys / 8; }
  SOTTO_INLINE bool EndInside() const { return (block + 1) * keys > valid; }
};

// 16 rows' scores; the greatest of each lane.
template <typename Scores>
SOTTO_INLINE void Fill(const Scores& scores, const FlashState& state,
                       const Keys& keys, int i, bool whole, int16_t* u,
                       Steps (&best)[4]) {
  for (int r = 0; r < 4; ++r) best[r] = Steps32(INT16_MIN);
  for (int j = 0; j < keys.Blocks(); j += 2) {
    Totals c[4][2];
    scores.Tile(i, j, whole, c);
    for (int r = 0; r < 4; ++r) {
      const Totals base =
          whole ? Totals32(scores.Offset(true)) : state.Base(i + r);
      for (int b = 0; b < 2; ++b) {
        const Steps s = vec::add(c[r][b], base)
                            .template to_vector<int16_t>(scores.Shift(whole));
        best[r] = vec::max(best[r], s);
        vec::store_v(u + ((i + r) * keys.Blocks() + j + b) * 32, s);
      }
    }
  }
}

// The same where the last valid key is inside the block: those behind it get
// the least score.
SOTTO_INLINE void MaskTail(const Keys& keys, int i, int16_t* u,
                           Steps (&best)[4]) {
  Steps order = vec::zeros<int16_t, 32>();
  for (unsigned lane = 0; lane < 32; ++lane)
    order.set(static_cast<int16_t>(lane % 8), lane);
  const Steps least = Steps32(INT16_MIN);
  for (int r = 0; r < 4; ++r) {
    best[r] = least;
    for (int j = 0; j < keys.Blocks(); ++j) {
      const int left = keys.valid - keys.block * keys.keys - j * 8;
      const Steps room = Steps32(static_cast<int16_t>(left < 0   ? 0
                                                      : left > 8 ? 8
                                                                 : left));
      int16_t* at = u + ((i + r) * keys.Blocks() + j) * 32;
      const Steps s =
          vec::select(least, vec::load_v<32>(at), vec::lt(order, room));
      best[r] = vec::max(best[r], s);
      vec::store_v(at, s);
    }
  }
}

SOTTO_INLINE bool Passed(const Steps (&best)[4]) {
  const Steps all =
      vec::max(vec::max(best[0], best[1]), vec::max(best[2], best[3]));
  return !vec::lt(Steps32((kSlack - 1) << kStepBits), all).empty();
}

// 2^(s / 256 + 1) of each, as bf16: s plus 2^15, halved, has the exponent and,
// for the mantissa, the fraction f; f (a + b f) makes 2^f of 1 + f, relative
// error below 0.18 % before rounding. Six operations for 32 probabilities.
SOTTO_INLINE void Probabilities(int16_t* u, int n) {
  const Steps fraction = Steps32((1 << kStepBits) - 1);
  // In units of 2^-15 of a mantissa's last bit, the slope's of 2^-23.
  const Totals one = Totals32((1 << 29) + 7234);
  const Totals linear = Totals32(-1435977);
  for (int i = 0; i < n; i += 32) {
    const Steps s = vec::load_v<32>(u + i);
    const Steps f = vec::bit_and(s, fraction);
    const Steps slope =
        vec::mac(linear, f, Steps32(5525)).template to_vector<int16_t>(8);
    const Totals bits = vec::mac(vec::mac(one, s, Steps32(1 << 14)), f, slope);
    vec::store_v(u + i, bits.template to_vector<int16_t>(15));
  }
}

// Of 16 rows at a time: the scores against the reference as it is, unless the
// block is the first; where one has passed it, in whole numbers, which set it;
// then again.
template <typename Scores>
SOTTO_INLINE void FlashScores(const Scores& scores, bf16* p,
                              float* state_buffer, int rows, int d,
                              const Keys& keys) {
  SetProductionModes();
  const FlashState state(state_buffer, rows, d);
  int16_t* u = reinterpret_cast<int16_t*>(p);
  const bool first = keys.block == 0;
  for (int i = 0; i < rows / 4; i += 4) {
    for (int pass = first ? 1 : 0; pass < 3; ++pass) {
      Steps best[4];
      const bool whole = pass == 1;
      Fill(scores, state, keys, i, whole, u, best);
      if (keys.EndInside()) MaskTail(keys, i, u, best);
      if (whole) {
        // Through memory, the rows to come: a loop, not four times the code.
        for (int r = 0; r < 4; ++r)
          vec::store_v(u + (i + r) * keys.Blocks() * 32, best[r]);
        for (int r = i; r < i + 4; ++r)
          state.Move(r, vec::load_v<32>(u + r * keys.Blocks() * 32),
                     scores.Offset(false), scores.Bits(), first);
      } else if (!Passed(best)) {
        break;
      }
    }
  }
  Probabilities(u, rows * keys.keys);
}
SOTTO_INLINE void flash_scores_bf16_body(const bf16* q, const bf16* k, bf16* p,
                                         float* state, int rows, int keys,
                                         int d, int block, int valid) {
  FlashScores(Bf16Scores{q, k, d / 8}, p, state, rows, d,
              Keys{block, keys, valid});
}
SOTTO_INLINE void flash_scores_i8_body(const int8_t* q, const int8_t* k,
                                       bf16* p, float* state, int rows,
                                       int keys, int d, int block, int valid,
                                       int shift, int q_width) {
  FlashScores(Int8Scores{q, k, d / 8, q_width / 8, shift}, p, state, rows, d,
              Keys{block, keys, valid});
}

}  // namespace
}  // namespace sotto::npu

using namespace sotto::npu;  // NOLINT: the symbols below are the device's

SOTTO_KERNEL(flash_scores_bf16,
             (const vec::bf16* q, const vec::bf16* k, vec::bf16* p,
              float* state, int32_t rows, int32_t keys, int32_t d,
              int32_t block, int32_t valid),
             (q, k, p, state, rows, keys, d, block, valid))
SOTTO_KERNEL(flash_scores_i8,
             (const int8_t* q, const int8_t* k, vec::bf16* p, float* state,
              int32_t rows, int32_t keys, int32_t d, int32_t block,
              int32_t valid, int32_t shift, int32_t q_width),
             (q, k, p, state, rows, keys, d, block, valid, shift, q_width))
