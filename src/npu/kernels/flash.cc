// SPDX-License-Identifier: MIT
// Flash attention: a block of queries stays, blocks of keys and values stream
// by; a running reference maximum and a running sum make one softmax of all of
// them. Scores never leave the core.
//
// Q, K, V and the output have the activations' layout, [rows/4][d/8][4][8] of
// one head. Scores are logarithms to base 2: whoever makes Q folds log2(e) /
// sqrt(d) into it, so no score is multiplied here. int8: Q and K are int8 whose
// scales multiply to a power of two, so that score = (Q K^T) 2^-shift; V,
// probabilities and the output stay bf16.
//
// state, f32: reference [rows/4][16], sum [rows/4][16], output
// [rows/4][d/4][4][4]; a row's reference and sum stand in four lanes each, as
// its outputs do. rows * (8 + d) floats.
// scratch, f32: 12 * keys floats: scores of 8 rows, then their probabilities.
//
// The reference is a whole number at or above the row's maximum so far, and
// moves only when a score rises more than 8 above it: a probability may reach
// 2^8, which bf16 holds as well as 1, and almost no block has to rescale the
// output (a published trick of attention kernels; exact but for rounding).
#include "npu/kernels/device.h"
#include "npu/kernels/elementary.h"

namespace sotto::npu {
namespace {

// What no score is below; finite, so that differences stay finite.
inline constexpr float kMasked = -100000.0F;
inline constexpr float kSlack = 8.0F;

// The maximum of each row of a 4x4 block, in all its four lanes.
SOTTO_INLINE Floats RowMaximum(const Floats& v) {
  const auto [even, odd] = vec::interleave_unzip<1>(v, v);
  const Floats pairs = vec::max(even, odd);
  const auto [first, second] = vec::interleave_unzip<1>(pairs, pairs);
  return vec::transpose<4, 4>(vec::max(first, second));
}

// Whole numbers at or above x.
SOTTO_INLINE Floats RoundUp(const Floats& x) {
  const Floats nearest =
      vec::sub(vec::add(x, Float16(kRound)), Float16(kRound));
  return vec::select(nearest, vec::add(nearest, Float16(1.0F)),
                     vec::lt(nearest, x));
}

struct State {
  float* reference;
  float* sum;
  float* out;
  int d;

  SOTTO_INLINE State(float* state, int rows, int d_model)
      : reference(state),
        sum(state + rows * 4),
        out(state + rows * 8),
        d(d_model) {}

  SOTTO_INLINE Floats Reference(int block) const {
    return vec::load_v<16>(reference + block * 16);
  }
  // Whether a score of four rows is more than kSlack above their reference.
  // `best`: of each lane, `offset` too high. A row's reference stands in all
  // its lanes, so any lane can tell.
  SOTTO_INLINE bool Passed(int block, const Floats& best,
                           const Floats& offset) const {
    const vec::mask<16> low = vec::lt(
        vec::add(Reference(block), vec::add(offset, Float16(kSlack))), best);
    return !low.empty();
  }
  // Moves four rows' reference so that it is no more than kSlack below `best`
  // and rescales what has been summed.
  SOTTO_INLINE Floats Advance(int block, const Floats& best) const {
    const Floats old = Reference(block);
    const vec::mask<16> low = vec::lt(vec::add(old, Float16(kSlack)), best);
    const Floats next = vec::select(old, RoundUp(best), low);
    vec::store_v(reference + block * 16, next);
    const TwoParts factor =
        SplitTwo(Exp2(vec::max(vec::sub(old, next), Float16(-126.0F))));
    const Floats zero = Float16(0.0F);
    const auto scale = [&](float* p) {
      vec::store_v(
          p, Result(MacTwo(Sums(zero), SplitTwo(vec::load_v<16>(p)), factor)));
    };
    scale(sum + block * 16);
    for (int j = 0; j < d / 4; ++j) scale(out + (block * (d / 4) + j) * 16);
    return next;
  }
};

SOTTO_INLINE void flash_start_body(float* state, int rows, int d) {
  const State s(state, rows, d);
  for (int i = 0; i < rows / 4; ++i) {
    vec::store_v(s.reference + i * 16, Float16(kMasked));
    vec::store_v(s.sum + i * 16, Float16(0.0F));
  }
  for (int i = 0; i < rows * d; i += 16) {
    vec::store_v(s.out + i, Float16(0.0F));
  }
}

// Lanes of a block of `width` keys starting at `key` that are past the last
// valid one.
template <int kWidth>
SOTTO_INLINE Floats MaskTail(const Floats& s, int key, int valid) {
  if (key + kWidth <= valid) return s;
  Words lane = vec::zeros<int32_t, 16>();
  for (unsigned i = 0; i < 16; ++i) {
    lane.set(static_cast<int32_t>(i % kWidth), i);
  }
  const Words limit = vec::broadcast<int32_t, 16>(valid - key - 1);
  return vec::select(s, Float16(kMasked), vec::gt(lane, limit));
}

// Scores of 8 rows with all keys of the block, in 4x4 blocks; returns the
// maximum of each lane.
struct Maxima {
  Floats low, high;  // rows 0 to 3, rows 4 to 7
};
SOTTO_INLINE Maxima ScoresBf16(const bf16* q, const bf16* k, float* scores,
                               int keys, int d, int key0, int valid) {
  using Mmul = vec::mmul<4, 8, 4, bf16, bf16>;
  const int d_blocks = d / 8;
  Maxima best = {Float16(kMasked), Float16(kMasked)};
  for (int j = 0; j < keys / 4; j += 4) {
    Mmul c[2][4];
    for (int l = 0; l < d_blocks; ++l) {
      const auto x0 = vec::load_v<32>(q + l * 32);
      const auto x1 = vec::load_v<32>(q + (d_blocks + l) * 32);
      for (int b = 0; b < 4; ++b) {
        const auto y = vec::transpose<4, 8>(
            vec::load_v<32>(k + ((j + b) * d_blocks + l) * 32));
        if (l == 0) {
          c[0][b].mul(x0, y);
          c[1][b].mul(x1, y);
        } else {
          c[0][b].mac(x0, y);
          c[1][b].mac(x1, y);
        }
      }
    }
    for (int b = 0; b < 4; ++b) {
      const int key = key0 + (j + b) * 4;
      const Floats s0 = MaskTail<4>(c[0][b].to_vector<float>(), key, valid);
      const Floats s1 = MaskTail<4>(c[1][b].to_vector<float>(), key, valid);
      best = {vec::max(best.low, s0), vec::max(best.high, s1)};
      vec::store_v(scores + (j + b) * 16, s0);
      vec::store_v(scores + (keys / 4 + j + b) * 16, s1);
    }
  }
  return best;
}

// int8 scores become floats by standing in the low bits of 1.5 * 2^(23-shift),
// and stay that much too high: all that follows takes it off exactly. Stored as
// 4x4 blocks too.
SOTTO_INLINE int32_t OffsetBits(int shift) {
  return kRoundBits - (shift << 23);
}
struct IntScale {
  int32_t bits;
  SOTTO_INLINE explicit IntScale(int shift) : bits(OffsetBits(shift)) {}
  SOTTO_INLINE Floats Of(const Words& sums) const {
    return vec::add(sums, vec::broadcast<int32_t, 16>(bits)).cast_to<float>();
  }
};
SOTTO_INLINE Maxima ScoresI8(const int8_t* q, const int8_t* k, float* scores,
                             int keys, int d, int key0, int valid, int shift) {
  using Mmul = vec::mmul<4, 8, 8, int8_t, int8_t>;
  const int d_blocks = d / 8;
  const IntScale scale(shift);
  Maxima best = {Float16(kMasked), Float16(kMasked)};
  for (int j = 0; j < keys / 8; j += 2) {
    Mmul c[2][2];
    for (int l = 0; l < d_blocks; ++l) {
      const auto x0 = vec::load_v<32>(q + l * 32);
      const auto x1 = vec::load_v<32>(q + (d_blocks + l) * 32);
      for (int b = 0; b < 2; ++b) {
        const int8_t* p = k + (2 * (j + b) * d_blocks + l) * 32;
        const auto y = vec::transpose<8, 8>(vec::concat(
            vec::load_v<32>(p), vec::load_v<32>(p + d_blocks * 32)));
        if (l == 0) {
          c[0][b].mul(x0, y);
          c[1][b].mul(x1, y);
        } else {
          c[0][b].mac(x0, y);
          c[1][b].mac(x1, y);
        }
      }
    }
    for (int b = 0; b < 2; ++b) {
      for (int r = 0; r < 2; ++r) {
        // A 4x8 block of sums to two 4x4 blocks of scores.
        const auto sums = c[r][b].to_vector<int32_t>();
        const auto [left, right] =
            vec::interleave_unzip<4>(sums.extract<16>(0), sums.extract<16>(1));
        const int key = key0 + (j + b) * 8;
        const Floats s0 = MaskTail<4>(scale.Of(left), key, valid);
        const Floats s1 = MaskTail<4>(scale.Of(right), key + 4, valid);
        Floats& row = r == 0 ? best.low : best.high;
        row = vec::max(row, vec::max(s0, s1));
        float* p = scores + (r * (keys / 4) + 2 * (j + b)) * 16;
        vec::store_v(p, s0);
        vec::store_v(p + 16, s1);
      }
    }
  }
  return best;
}

// Four rows' scores to probabilities, as blocks of 4 rows and 8 keys. The
// scores are `offset` too high; it and the reference are whole numbers, so
// nothing is rounded that would not be without it.
SOTTO_INLINE void Probabilities(const float* scores, const Floats& reference,
                                const Floats& offset, bf16* out, int keys) {
  const Floats base = vec::add(reference, offset);
  const Floats magic = vec::sub(Float16(kRound), base);
  const Floats least = vec::sub(base, Float16(126.0F));
  for (int j = 0; j < keys / 8; ++j) {
    const Halves left = ToHalves(Exp2Probability(
        vec::max(vec::load_v<16>(scores + j * 32), least), magic));
    const Halves right = ToHalves(Exp2Probability(
        vec::max(vec::load_v<16>(scores + j * 32 + 16), least), magic));
    const auto [low, high] = vec::interleave_zip<4>(left, right);
    vec::store_v(out + j * 32, vec::concat(low, high));
  }
}

// Adds 8 rows' probabilities times V to the output, and their sum (a product
// with ones) to the sum.
SOTTO_INLINE void AddValues(const bf16* p, const bf16* v, const State& state,
                            int block, int keys) {
  using Mmul = vec::mmul<4, 8, 4, bf16, bf16>;
  const int d = state.d;
  const int key_blocks = keys / 8;
  const bf16* p1 = p + key_blocks * 32;
  const auto ones = vec::broadcast<bf16, 32>(vec::ToBf16(1.0F));
  float* sum = state.sum + block * 16;
  Mmul s0(vec::load_v<16>(sum));
  Mmul s1(vec::load_v<16>(sum + 16));
  for (int l = 0; l < key_blocks; ++l) {
    s0.mac(vec::load_v<32>(p + l * 32), ones);
    s1.mac(vec::load_v<32>(p1 + l * 32), ones);
  }
  vec::store_v(sum, s0.to_vector<float>());
  vec::store_v(sum + 16, s1.to_vector<float>());
  for (int j = 0; j < d / 8; j += 2) {
    float* o0 = state.out + (block * (d / 4) + 2 * j) * 16;
    float* o1 = o0 + d / 4 * 16;
    Mmul c[2][4];
    for (int b = 0; b < 4; ++b) {
      c[0][b] = Mmul(vec::load_v<16>(o0 + b * 16));
      c[1][b] = Mmul(vec::load_v<16>(o1 + b * 16));
    }
    for (int l = 0; l < key_blocks; ++l) {
      const auto x0 = vec::load_v<32>(p + l * 32);
      const auto x1 = vec::load_v<32>(p1 + l * 32);
      for (int b = 0; b < 2; ++b) {
        // Two blocks of 4 keys x 8 columns to two of 8 keys x 4 columns.
        const bf16* at = v + (2 * l * (d / 8) + j + b) * 32;
        const auto [left, right] = vec::interleave_unzip<4>(
            vec::load_v<32>(at), vec::load_v<32>(at + d / 8 * 32));
        c[0][2 * b].mac(x0, left);
        c[0][2 * b + 1].mac(x0, right);
        c[1][2 * b].mac(x1, left);
        c[1][2 * b + 1].mac(x1, right);
      }
    }
    for (int b = 0; b < 4; ++b) {
      vec::store_v(o0 + b * 16, c[0][b].to_vector<float>());
      vec::store_v(o1 + b * 16, c[1][b].to_vector<float>());
    }
  }
}

template <typename Scores>
SOTTO_INLINE void FlashBlock(const Scores& scores_of, float offset,
                             const bf16* v, float* state_buffer, float* scratch,
                             int rows, int keys, int d) {
  SetProductionModes();
  const State state(state_buffer, rows, d);
  const Floats above = Float16(offset);
  bf16* p = reinterpret_cast<bf16*>(scratch + 8 * keys);
  for (int i = 0; i < rows / 4; i += 2) {
    const Maxima best = scores_of(i, scratch);
    Floats low = state.Reference(i);
    Floats high = state.Reference(i + 1);
    const bool low_passed = state.Passed(i, best.low, above);
    const bool high_passed = state.Passed(i + 1, best.high, above);
    if (low_passed || high_passed) {
      if (low_passed)
        low = state.Advance(i, vec::sub(RowMaximum(best.low), above));
      if (high_passed)
        high = state.Advance(i + 1, vec::sub(RowMaximum(best.high), above));
    }
    Probabilities(scratch, low, above, p, keys);
    Probabilities(scratch + 4 * keys, high, above, p + 4 * keys, keys);
    AddValues(p, v, state, i, keys);
  }
}

SOTTO_INLINE void flash_block_bf16_body(const bf16* q, const bf16* k,
                                        const bf16* v, float* state,
                                        float* scratch, int rows, int keys,
                                        int d, int block, int valid) {
  FlashBlock(
      [=](int i, float* scores) SOTTO_INLINE_LAMBDA {
        return ScoresBf16(q + i * d * 4, k, scores, keys, d, block * keys,
                          valid);
      },
      0.0F, v, state, scratch, rows, keys, d);
}
SOTTO_INLINE void flash_block_i8_body(const int8_t* q, const int8_t* k,
                                      const bf16* v, float* state,
                                      float* scratch, int rows, int keys, int d,
                                      int block, int valid, int shift) {
  FlashBlock(
      [=](int i, float* scores) SOTTO_INLINE_LAMBDA {
        return ScoresI8(q + i * d * 4, k, scores, keys, d, block * keys, valid,
                        shift);
      },
      FloatOfBits(OffsetBits(shift)), v, state, scratch, rows, keys, d);
}

// The output divided by the sum, 4x4 blocks zipped to 4x8.
struct Finished {
  Floats low, high;
};
SOTTO_INLINE Finished FinishBlock(const State& state, int i, int j,
                                  const TwoParts& inverse) {
  const float* p = state.out + (i * (state.d / 4) + 2 * j) * 16;
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
        SplitTwo(Reciprocal(vec::load_v<16>(state.sum + i * 16)));
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
        SplitTwo(Reciprocal(vec::load_v<16>(state.sum + i * 16)));
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

SOTTO_KERNEL(flash_start, (float* state, int32_t rows, int32_t d),
             (state, rows, d))
SOTTO_KERNEL(flash_block_bf16,
             (const vec::bf16* q, const vec::bf16* k, const vec::bf16* v,
              float* state, float* scratch, int32_t rows, int32_t keys,
              int32_t d, int32_t block, int32_t valid),
             (q, k, v, state, scratch, rows, keys, d, block, valid))
SOTTO_KERNEL(flash_block_i8,
             (const int8_t* q, const int8_t* k, const vec::bf16* v,
              float* state, float* scratch, int32_t rows, int32_t keys,
              int32_t d, int32_t block, int32_t valid, int32_t shift),
             (q, k, v, state, scratch, rows, keys, d, block, valid, shift))
SOTTO_KERNEL(flash_finish_bf16,
             (const float* state, vec::bf16* out, int32_t rows, int32_t d),
             (state, out, rows, d))
SOTTO_KERNEL(flash_finish_i8,
             (const float* state, int8_t* out, int32_t rows, int32_t d),
             (state, out, rows, d))
