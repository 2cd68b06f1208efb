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
// flash_scores_* turns a block of keys into probabilities and adds them up,
// flash_values adds them times V: K is free for the next keys while V is at
// work. rows of 16, keys of 16, d of 16. flash_tile_* are the same for 64 rows,
// 64 keys and d of 64, bit for bit: loops over l have no end to wait for there,
// so the loop over blocks is the innermost one and is software-pipelined
// (costs_flash.cc has the slots).
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
// The reference is near the row's maximum when it is set, by the first sixteen
// keys, and moves only when a score rises more than 2^kSlack above it: bf16 and
// f32 hold large probabilities as well as small ones, so hardly any block
// rescales the output (a published trick of attention kernels; exact but for
// rounding).
#include "npu/kernels/device.h"
#include "npu/kernels/flash_state.h"

namespace sotto::npu {
namespace {

// Blocks of eight of one of a kernel's sizes, known when compiled or not.
template <int kKnown>
struct Eights {
  int given;
  SOTTO_INLINE explicit Eights(int size) : given(size / 8) {}
  SOTTO_INLINE operator int() const { return kKnown > 0 ? kKnown / 8 : given; }
};

// --- scores -----------------------------------------------------------------
//
// Tile(i, j, whole, state, out): rows 4 i to 4 i + 15 against keys 8 j to 8 j +
// 7, in steps from the rows' references, or, `whole`, in whole numbers. Four
// accumulators of 4 x 8.

// Blocks of 4 x 4 as floats; adding kRoundSteps makes them steps, in the low
// bits.
template <int kHead>
struct Bf16Scores {
  static constexpr bool kHalves = true;
  const bf16* SOTTO_RESTRICT q;
  const bf16* SOTTO_RESTRICT k;
  Eights<kHead> depth;

  SOTTO_INLINE int Bits() const { return kStepBits; }
  SOTTO_INLINE int32_t Offset() const { return -kRoundStepsBits; }
  SOTTO_INLINE void Tile(int i, int j, bool whole, const FlashState& state,
                         Steps (&out)[4]) const {
    using Mmul = vec::mmul<4, 8, 4, bf16, bf16>;
    Mmul c[4][2];
    SOTTO_UNROLL
    for (int l = 0; l < depth; ++l) {
      vec::vector<bf16, 32> x[4];
      for (int r = 0; r < 4; ++r)
        x[r] = vec::load_v<32>(q + ((i + r) * depth + l) * 32);
      for (int b = 0; b < 2; ++b) {
        const auto y = vec::transpose<4, 8>(
            vec::load_v<32>(k + ((2 * j + b) * depth + l) * 32));
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
      const auto numbers = [&](int b) SOTTO_INLINE_LAMBDA {
        return vec::add(c[r][b].template to_vector<float>(), magic)
            .template cast_to<int32_t>();
      };
      const Totals sums(vec::concat(numbers(0), numbers(1)));
      const Steps s =
          vec::add(sums, whole ? Totals32(-kRoundBits) : state.Base(i + r))
              .template to_vector<int16_t>(0);
      const auto [low, high] =
          vec::interleave_zip<4>(s.extract<16>(0), s.extract<16>(1));
      out[r] = vec::concat(low, high);
    }
  }
};

template <int kHead>
struct Int8Scores {
  static constexpr bool kHalves = false;
  const int8_t* SOTTO_RESTRICT q;
  const int8_t* SOTTO_RESTRICT k;
  Eights<kHead> depth;
  int q_blocks;  // of a row of Q in memory
  int shift;

  SOTTO_INLINE int Bits() const { return shift; }
  SOTTO_INLINE int32_t Offset() const { return 0; }
  SOTTO_INLINE void Tile(int i, int j, bool whole, const FlashState& state,
                         Steps (&out)[4]) const {
    using Mmul = vec::mmul<4, 8, 8, int8_t, int8_t>;
    // The first products take the base: no operation of its own.
    Mmul c[4];
    for (int r = 0; r < 4; ++r)
      c[r] = Mmul(whole ? Totals32(0) : state.Base(i + r));
    SOTTO_UNROLL
    for (int l = 0; l < depth; ++l) {
      const int8_t* p = k + (2 * j * depth + l) * 32;
      const auto y = vec::transpose<8, 8>(
          vec::concat(vec::load_v<32>(p), vec::load_v<32>(p + depth * 32)));
      for (int r = 0; r < 4; ++r)
        c[r].mac(vec::load_v<32>(q + ((i + r) * q_blocks + l) * 32), y);
    }
    for (int r = 0; r < 4; ++r)
      out[r] =
          c[r].template to_vector<int16_t>(whole ? shift : shift - kStepBits);
  }
};

// A block of keys: its number, how many, and how many there are in all.
template <int kTile>
struct Keys {
  int block;
  Eights<kTile> eights;
  int valid;
  SOTTO_INLINE int First() const { return block * eights * 8; }
  SOTTO_INLINE bool EndInside() const { return First() + eights * 8 > valid; }
};

// Scores of `rows` blocks of four rows from block i on with `columns` blocks of
// eight keys; the greatest of each lane, of every fourth block of rows. One
// loop, whichever the block.
template <typename Scores>
SOTTO_INLINE void Fill(const Scores& scores, const FlashState& state, int i,
                       int rows, int columns, int stride, bool whole,
                       int16_t* SOTTO_RESTRICT u, Steps (&best)[4]) {
  for (int r = 0; r < 4; ++r) best[r] = Steps32(INT16_MIN);
  int j = 0;
  for (int n = rows / 4 * columns; n > 0; --n) {
    Steps s[4];
    scores.Tile(i, j, whole, state, s);
    for (int r = 0; r < 4; ++r) {
      best[r] = vec::max(best[r], s[r]);
      vec::store_v(u + ((i + r) * stride + j) * 32, s[r]);
    }
    const bool end = ++j == columns;
    i += end ? 4 : 0;
    j = end ? 0 : j;
  }
}

// The same where the last valid key is inside the block: those behind it get
// the least score.
template <int kTile>
SOTTO_INLINE void MaskTail(const Keys<kTile>& keys, int i, int rows,
                           int columns, int16_t* u, Steps (&best)[4]) {
  Steps order = vec::zeros<int16_t, 32>();
  for (unsigned lane = 0; lane < 32; ++lane)
    order.set(static_cast<int16_t>(lane % 8), lane);
  const Steps least = Steps32(INT16_MIN);
  for (int r = 0; r < 4; ++r) best[r] = least;
  for (int block = i; block < i + rows; ++block) {
    for (int j = 0; j < columns; ++j) {
      const int left = keys.valid - keys.First() - j * 8;
      const Steps room = Steps32(static_cast<int16_t>(left < 0   ? 0
                                                      : left > 8 ? 8
                                                                 : left));
      int16_t* at = u + (block * keys.eights + j) * 32;
      const Steps s =
          vec::select(least, vec::load_v<32>(at), vec::lt(order, room));
      best[block % 4] = vec::max(best[block % 4], s);
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
// error below 0.18 % before rounding. Six operations for 32 probabilities, and
// a product with ones adds them to their rows' sums.
SOTTO_INLINE void Probabilities(int16_t* SOTTO_RESTRICT u, int rows,
                                int columns, const FlashState& state,
                                bool first) {
  using Mmul = vec::mmul<4, 8, 4, bf16, bf16>;
  const auto ones = vec::broadcast<bf16, 32>(vec::ToBf16(1.0F));
  const Steps fraction = Steps32((1 << kStepBits) - 1);
  // In units of 2^-15 of a mantissa's last bit, the slope's of 2^-23.
  const Totals one = Totals32((1 << 29) + 7234);
  const Totals linear = Totals32(-1435977);
  for (int i = 0; i < rows; ++i) {
    Mmul sum(LoadUnless(first, state.Sum(i)));
    SOTTO_UNROLL
    for (int j = 0; j < columns; ++j) {
      int16_t* at = u + (i * columns + j) * 32;
      const Steps s = vec::load_v<32>(at);
      const Steps f = vec::bit_and(s, fraction);
      const Steps slope =
          vec::mac(linear, f, Steps32(5525)).template to_vector<int16_t>(8);
      const Totals bits =
          vec::mac(vec::mac(one, s, Steps32(1 << 14)), f, slope);
      const Steps p = bits.template to_vector<int16_t>(15);
      vec::store_v(at, p);
      sum.mac(p.template cast_to<bf16>(), ones);
    }
    vec::store_v(state.Sum(i), sum.to_vector<float>());
  }
}

// The scores against the references as they are, unless the block is the first;
// where one has passed its reference, in whole numbers, which set it; then
// again. In the first block sixteen keys set it: others rarely are above them
// by the slack, and then they are seen to be in the next block.
template <int kTile, typename Scores>
SOTTO_INLINE void FlashScores(const Scores& scores, bf16* p,
                              float* state_buffer, int rows, int d,
                              const Keys<kTile>& keys) {
  SetProductionModes();
  const FlashState state(state_buffer, rows, d);
  int16_t* u = reinterpret_cast<int16_t*>(p);
  const bool first = keys.block == 0;
  const int row_blocks = kTile > 0 ? kTile / 4 : rows / 4;
  for (int pass = first ? 1 : 0; pass < 3; ++pass) {
    const bool whole = pass == 1;
    const int columns = whole && first ? 2 : int{keys.eights};
    const int together = whole ? 4 : row_blocks;
    Steps best[4];
    for (int i = 0; i < row_blocks; i += together) {
      Fill(scores, state, i, together, columns, keys.eights, whole, u, best);
      if (keys.EndInside()) MaskTail(keys, i, together, columns, u, best);
      if (!whole) continue;
      // Through memory, the rows to come: a loop, not four times the code.
      for (int r = 0; r < 4; ++r)
        vec::store_v(u + (i + r) * keys.eights * 32, best[r]);
      for (int r = i; r < i + 4; ++r)
        state.Move<Scores::kHalves>(r,
                                    vec::load_v<32>(u + r * keys.eights * 32),
                                    scores.Offset(), scores.Bits(), first);
    }
    if (pass == 0 && !Passed(best)) break;
  }
  Probabilities(u, row_blocks, keys.eights, state, first);
}
SOTTO_INLINE void flash_scores_bf16_body(const bf16* q, const bf16* k, bf16* p,
                                         float* state, int rows, int keys,
                                         int d, int block, int valid) {
  FlashScores(Bf16Scores<0>{q, k, Eights<0>(d)}, p, state, rows, d,
              Keys<0>{block, Eights<0>(keys), valid});
}
SOTTO_INLINE void flash_scores_i8_body(const int8_t* q, const int8_t* k,
                                       bf16* p, float* state, int rows,
                                       int keys, int d, int block, int valid,
                                       int shift, int q_width) {
  FlashScores(Int8Scores<0>{q, k, Eights<0>(d), q_width / 8, shift}, p, state,
              rows, d, Keys<0>{block, Eights<0>(keys), valid});
}
constexpr int kSide = 64;
SOTTO_INLINE void flash_tile_scores_bf16_body(const bf16* q, const bf16* k,
                                              bf16* p, float* state, int block,
                                              int valid) {
  FlashScores(Bf16Scores<kSide>{q, k, Eights<kSide>(kSide)}, p, state, kSide,
              kSide, Keys<kSide>{block, Eights<kSide>(kSide), valid});
}
SOTTO_INLINE void flash_tile_scores_i8_body(const int8_t* q, const int8_t* k,
                                            bf16* p, float* state, int block,
                                            int valid, int shift, int q_width) {
  FlashScores(Int8Scores<kSide>{q, k, Eights<kSide>(kSide), q_width / 8, shift},
              p, state, kSide, kSide,
              Keys<kSide>{block, Eights<kSide>(kSide), valid});
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
SOTTO_KERNEL(flash_tile_scores_bf16,
             (const vec::bf16* q, const vec::bf16* k, vec::bf16* p,
              float* state, int32_t block, int32_t valid),
             (q, k, p, state, block, valid))
SOTTO_KERNEL(flash_tile_scores_i8,
             (const int8_t* q, const int8_t* k, vec::bf16* p, float* state,
              int32_t block, int32_t valid, int32_t shift, int32_t q_width),
             (q, k, p, state, block, valid, shift, q_width))
