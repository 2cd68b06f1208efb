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
// state: base i32 [rows/4][16], then f32 [rows/4][1 + d/4][4][4], a row's sum
// and its outputs; base and sum stand in four lanes each. rows * (8 + d) words.
// Block 0 finds nothing there.
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
#include "npu/kernels/elementary.h"

namespace sotto::npu {
namespace {

using Steps = vec::vector<int16_t, 32>;  // scores of 4 rows, 8 keys
using Totals = vec::accum<vec::acc32, 32>;

inline constexpr int kStepBits = 8;
// Sums of 1500 probabilities up to 2^64 times V stay far inside f32.
inline constexpr int kSlack = 64;
// A float plus 1.5 * 2^23 has its value as a whole number in its low bits, plus
// 1.5 * 2^15 in steps of 2^-8.
inline constexpr float kRoundSteps = kRound / (1 << kStepBits);
inline constexpr int32_t kRoundStepsBits = kRoundBits - (kStepBits << 23);

SOTTO_INLINE Steps Steps32(int16_t x) { return vec::broadcast<int16_t, 32>(x); }
SOTTO_INLINE Totals Totals32(int32_t x) {
  return Totals(vec::broadcast<int32_t, 32>(x));
}
SOTTO_INLINE Words Word16(int32_t x) { return vec::broadcast<int32_t, 16>(x); }

// The maximum of each row of a 4x4 block, in all its four lanes.
SOTTO_INLINE Words RowMaximum(const Words& v) {
  const auto [even, odd] = vec::interleave_unzip<1>(v, v);
  const Words pairs = vec::max(even, odd);
  const auto [first, second] = vec::interleave_unzip<1>(pairs, pairs);
  return vec::transpose<4, 4>(vec::max(first, second));
}

// base: what is added to a row's sums so that, after a shift, they count in
// steps from one above its reference: offset - (reference + 1) * 2^bits.
struct State {
  int32_t* base;
  float* sums;
  int d;

  SOTTO_INLINE State(float* state, int rows, int d_model)
      : base(reinterpret_cast<int32_t*>(state)),
        sums(state + rows * 4),
        d(d_model) {}

  SOTTO_INLINE int Stride() const { return (d / 4 + 1) * 16; }
  SOTTO_INLINE float* Sum(int block) const { return sums + block * Stride(); }
  SOTTO_INLINE float* Out(int block) const { return Sum(block) + 16; }

  SOTTO_INLINE Totals Base(int block) const {
    const Words four = vec::load_v<16>(base + block * 16);
    const auto [low, high] = vec::interleave_zip<4>(four, four);
    return Totals(vec::concat(low, high));
  }
  // Sets the reference of four rows, whose greatest scores, in whole numbers,
  // are `best`; but in the first block only where that is near kSlack above it.
  SOTTO_INLINE void Move(int block, const Steps& best, int32_t offset, int bits,
                         bool first) const {
    const auto wide = Totals(best).to_vector<int32_t>();
    const auto [left, right] =
        vec::interleave_unzip<4>(wide.extract<16>(0), wide.extract<16>(1));
    // The reference and one: it is to be above the score, which is rounded.
    const Words top = vec::add(RowMaximum(vec::max(left, right)), Word16(2));
    const Words next = vec::sub(Word16(offset),
                                vec::upshift(top, static_cast<unsigned>(bits)));
    int32_t* at = base + block * 16;
    if (first) {
      vec::store_v(at, next);
      return;
    }
    const Words old = vec::load_v<16>(at);
    const Words now = vec::select(
        old, next, vec::lt(next, vec::sub(old, Word16(kSlack << bits))));
    vec::store_v(at, now);
    const Words power =
        vec::downshift(vec::sub(now, old), static_cast<unsigned>(bits));
    Rescale(block, vec::upshift(vec::max(power, Word16(-126)), 23));
  }
  // Times a power of two: `exponent` is added to the floats' own.
  SOTTO_INLINE void Rescale(int block, const Words& exponent) const {
    float* p = Sum(block);
    for (int j = 0; j < Stride(); j += 16) {
      const Words bits = vec::load_v<16>(p + j).cast_to<int32_t>();
      const Words own = vec::bit_and(bits, Word16(0x7F800000));
      const Words scaled =
          vec::select(Word16(0), vec::add(bits, exponent),
                      vec::gt(vec::add(own, exponent), Word16(0)));
      vec::store_v(p + j, scaled.cast_to<float>());
    }
  }
};

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
SOTTO_INLINE void Fill(const Scores& scores, const State& state,
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
  const State state(state_buffer, rows, d);
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

// --- values -----------------------------------------------------------------

SOTTO_INLINE Floats LoadUnless(bool first, const float* p) {
  return first ? Float16(0.0F) : vec::load_v<16>(p);
}

// Adds 16 rows' probabilities to their sums: a product with ones.
SOTTO_INLINE void AddSums(const bf16* p, const State& state, int i,
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
  const State state(state_buffer, rows, d);
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

// The output divided by the sum, 4x4 blocks zipped to 4x8.
struct Finished {
  Floats low, high;
};
SOTTO_INLINE Finished FinishBlock(const State& state, int i, int j,
                                  const TwoParts& inverse) {
  const float* p = state.Out(i) + 2 * j * 16;
  const Sums zero(Float16(0.0F));
  const Floats a = Result(MacTwo(zero, SplitTwo(vec::load_v<16>(p)), inverse));
  const Floats b =
      Result(MacTwo(zero, SplitTwo(vec::load_v<16>(p + 16)), inverse));
  const auto [low, high] = vec::interleave_zip<4>(a, b);
  return {low, high};
}
SOTTO_INLINE void flash_finish_bf16_body(const float* state_buffer, bf16* out,
                                         int rows, int d) {
  SetProductionModes();
  const State state(const_cast<float*>(state_buffer), rows, d);
  for (int i = 0; i < rows / 4; ++i) {
    const TwoParts inverse =
        SplitTwo(ReciprocalTwo(vec::load_v<16>(state.Sum(i))));
    for (int j = 0; j < d / 8; ++j) {
      const Finished v = FinishBlock(state, i, j, inverse);
      vec::store_v(out + (i * (d / 8) + j) * 32,
                   vec::concat(ToHalves(v.low), ToHalves(v.high)));
    }
  }
}
// To int8 for the next product; whoever makes V scales it for that.
SOTTO_INLINE void flash_finish_i8_body(const float* state_buffer, int8_t* out,
                                       int rows, int d) {
  SetProductionModes();
  const State state(const_cast<float*>(state_buffer), rows, d);
  for (int i = 0; i < rows / 4; ++i) {
    const TwoParts inverse =
        SplitTwo(ReciprocalTwo(vec::load_v<16>(state.Sum(i))));
    for (int j = 0; j < d / 8; ++j) {
      const Finished v = FinishBlock(state, i, j, inverse);
      vec::store_v(out + (i * (d / 8) + j) * 32,
                   PackInt8(ToInt8Range(v.low), ToInt8Range(v.high)));
    }
  }
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
SOTTO_KERNEL(flash_values,
             (const vec::bf16* p, const vec::bf16* v, float* state,
              int32_t rows, int32_t keys, int32_t d, int32_t block),
             (p, v, state, rows, keys, d, block))
SOTTO_KERNEL(flash_finish_bf16,
             (const float* state, vec::bf16* out, int32_t rows, int32_t d),
             (state, out, rows, d))
SOTTO_KERNEL(flash_finish_i8,
             (const float* state, int8_t* out, int32_t rows, int32_t d),
             (state, out, rows, d))
