// SPDX-License-Identifier: MIT
// Row and element kernels of the encoder: LayerNorm, softmax, GELU, residual,
// quantisation. bf16 results are rounded to nearest even.
//
// LayerNorm works on the activations' layout, [rows/4][width/8][4][8]; rows a
// multiple of 4, width of 8. params: f32 [2][width], gamma then beta; for int8
// out the caller divides both by the scale. epsilon is Whisper's 1e-5.
#include "npu/kernels/device.h"
#include "npu/kernels/elementary.h"

namespace sotto::npu {
namespace {

inline constexpr float kEpsilon = 1e-5F;

// Values for the two halves of a 4x8 block: rows 0 and 1, rows 2 and 3.
struct RowPair {
  Floats low, high;
};

// The sum over each row of a 4x8 block of lanes, four lanes a row.
SOTTO_INLINE Floats SumRows(const RowPair& v) {
  const auto [left, right] = vec::interleave_unzip<4>(v.low, v.high);
  const Floats four = vec::add(left, right);
  const auto [even, odd] = vec::interleave_unzip<1>(four, four);
  const Floats two = vec::add(even, odd);
  const auto [first, second] = vec::interleave_unzip<1>(two, two);
  return vec::transpose<4, 4>(vec::add(first, second));
}
// Four lanes a row to the eight of a 4x8 block.
SOTTO_INLINE RowPair Widen(const Floats& v) {
  const auto [low, high] = vec::interleave_zip<4>(v, v);
  return {low, high};
}

SOTTO_INLINE Floats Square(const Floats& x) {
  const TwoParts parts = SplitTwo(x);
  return Result(MacTwo(Sums(Float16(0.0F)), parts, parts));
}

SOTTO_INLINE RowPair LoadBlock(const bf16* x) {
  return {ToFloats(vec::load_v<16>(x)), ToFloats(vec::load_v<16>(x + 16))};
}

// z = x / sigma - mean / sigma: `offset` is the second term.
struct Normal {
  ThreeParts inverse;
  Floats offset;
  Normal() = default;
  SOTTO_INLINE Normal(const Floats& term, const Floats& root)
      : inverse(SplitThree(root)), offset(term) {}
  // x is bf16, so each part is one exact product.
  SOTTO_INLINE Floats Of(const Halves& x) const {
    return Result(vec::mac(
        vec::mac(vec::mac(Sums(offset), x, inverse.low), x, inverse.mid), x,
        inverse.high));
  }
};

SOTTO_INLINE Floats Offset(const Floats& mean, const Floats& root) {
  return vec::sub(Float16(0.0F), MulThree(mean, root));
}

struct AffineBf16 {
  bf16* out;
  SOTTO_INLINE void Store(int at, const Floats& low, const Floats& high) const {
    vec::store_v(out + at, vec::concat(ToHalves(low), ToHalves(high)));
  }
};
struct AffineI8 {
  int8_t* out;
  SOTTO_INLINE void Store(int at, const Floats& low, const Floats& high) const {
    vec::store_v(out + at, PackInt8(ToInt8Range(low), ToInt8Range(high)));
  }
};

template <typename Sink>
SOTTO_INLINE void ApplyRows(const bf16* x, const float* params, int blocks,
                            const Normal& low, const Normal& high,
                            const Sink& sink, int at) {
  const int width = blocks * 8;
  for (int j = 0; j < blocks; ++j) {
    const ThreeParts gamma = SplitThree(TwoRows(params + j * 8));
    const Sums beta(TwoRows(params + width + j * 8));
    const Floats z0 = low.Of(vec::load_v<16>(x + j * 32));
    const Floats z1 = high.Of(vec::load_v<16>(x + j * 32 + 16));
    sink.Store(at + j * 32, Result(MacThree(beta, SplitThree(z0), gamma)),
               Result(MacThree(beta, SplitThree(z1), gamma)));
  }
}

// Simple: the rows whole in L1, two passes for the statistics.
template <typename Sink>
SOTTO_INLINE void LayerNorm(const bf16* x, const float* params,
                            const Sink& sink, int rows, int width) {
  SetProductionModes();
  const int blocks = width / 8;
  const Floats count = Float16(static_cast<float>(width));
  const Floats per_element = Reciprocal(count);
  for (int i = 0; i < rows / 4; ++i) {
    const bf16* row = x + i * width * 4;
    RowPair sum = {Float16(0.0F), Float16(0.0F)};
    for (int j = 0; j < blocks; ++j) {
      const RowPair v = LoadBlock(row + j * 32);
      sum = {vec::add(sum.low, v.low), vec::add(sum.high, v.high)};
    }
    const Floats row_mean = MulThree(SumRows(sum), per_element);
    const RowPair mean = Widen(row_mean);
    RowPair squares = {Float16(0.0F), Float16(0.0F)};
    for (int j = 0; j < blocks; ++j) {
      const RowPair v = LoadBlock(row + j * 32);
      squares = {vec::add(squares.low, Square(vec::sub(v.low, mean.low))),
                 vec::add(squares.high, Square(vec::sub(v.high, mean.high)))};
    }
    const Floats row_root = ReciprocalRoot(
        vec::add(MulThree(SumRows(squares), per_element), Float16(kEpsilon)));
    const RowPair root = Widen(row_root);
    const RowPair offset = Widen(Offset(row_mean, row_root));
    const Normal low(offset.low, root.low);
    const Normal high(offset.high, root.high);
    ApplyRows(row, params, blocks, low, high, sink, i * width * 4);
  }
}
SOTTO_INLINE void layer_norm_bf16_body(const bf16* x, const float* params,
                                       bf16* out, int rows, int width) {
  LayerNorm(x, params, AffineBf16{out}, rows, width);
}
SOTTO_INLINE void layer_norm_i8_body(const bf16* x, const float* params,
                                     int8_t* out, int rows, int width) {
  LayerNorm(x, params, AffineI8{out}, rows, width);
}

// Streaming: chunks of `width` columns of all, `inverse` of their number, sums
// and sums of squares on the way; the last chunk, number `steps` - 1, leaves
// -mean / sigma and 1 / sigma in their place. Chunks of zeros behind them change
// nothing. Squares of bf16 are exact; their f32 sum loses (mean / sigma)^2
// bits' worth, which for Whisper's activations is nothing.
//
// stats, f32: [rows/4][2][32].
SOTTO_INLINE void layer_norm_stats_body(const bf16* x, float* stats, int rows,
                                        int width, int step, int steps,
                                        int inverse) {
  SetProductionModes();
  const bool last = step + 1 == steps;
  const Floats per_element = Float16(FloatOfBits(inverse));
  for (int i = 0; i < rows / 4; ++i) {
    float* s = stats + i * 64;
    const Halves one = Half16(1.0F);
    const Floats zero = Float16(0.0F);
    Sums sum0(step == 0 ? zero : vec::load_v<16>(s));
    Sums sum1(step == 0 ? zero : vec::load_v<16>(s + 16));
    Sums square0(step == 0 ? zero : vec::load_v<16>(s + 32));
    Sums square1(step == 0 ? zero : vec::load_v<16>(s + 48));
    for (int j = 0; j < width / 8; ++j) {
      const bf16* p = x + (i * (width / 8) + j) * 32;
      const Halves x0 = vec::load_v<16>(p);
      const Halves x1 = vec::load_v<16>(p + 16);
      sum0 = vec::mac(sum0, x0, one);
      sum1 = vec::mac(sum1, x1, one);
      square0 = vec::mac(square0, x0, x0);
      square1 = vec::mac(square1, x1, x1);
    }
    RowPair sum = {Result(sum0), Result(sum1)};
    RowPair square = {Result(square0), Result(square1)};
    if (last) {
      const Floats mean = MulThree(SumRows(sum), per_element);
      const Floats variance =
          vec::max(vec::sub(MulThree(SumRows(square), per_element),
                            MulThree(mean, mean)),
                   zero);
      const Floats root = ReciprocalRoot(vec::add(variance, Float16(kEpsilon)));
      sum = Widen(Offset(mean, root));
      square = Widen(root);
    }
    vec::store_v(s, sum.low);
    vec::store_v(s + 16, sum.high);
    vec::store_v(s + 32, square.low);
    vec::store_v(s + 48, square.high);
  }
}
template <typename Sink>
SOTTO_INLINE void ApplyStats(const bf16* x, const float* stats,
                             const float* params, const Sink& sink, int rows,
                             int width) {
  SetProductionModes();
  for (int i = 0; i < rows / 4; ++i) {
    const float* s = stats + i * 64;
    const Normal low(vec::load_v<16>(s), vec::load_v<16>(s + 32));
    const Normal high(vec::load_v<16>(s + 16), vec::load_v<16>(s + 48));
    ApplyRows(x + i * width * 4, params, width / 8, low, high, sink,
              i * width * 4);
  }
}
SOTTO_INLINE void layer_norm_apply_bf16_body(const bf16* x, const float* stats,
                                             const float* params, bf16* out,
                                             int rows, int width) {
  ApplyStats(x, stats, params, AffineBf16{out}, rows, width);
}
SOTTO_INLINE void layer_norm_apply_i8_body(const bf16* x, const float* stats,
                                           const float* params, int8_t* out,
                                           int rows, int width) {
  ApplyStats(x, stats, params, AffineI8{out}, rows, width);
}

struct AffineAny {
  bf16* out;
  bool to_i8;
  SOTTO_INLINE void Store(int at, const Floats& low, const Floats& high) const {
    if (to_i8) {
      AffineI8{reinterpret_cast<int8_t*>(out)}.Store(at, low, high);
    } else {
      AffineBf16{out}.Store(at, low, high);
    }
  }
};
SOTTO_INLINE void layer_norm_apply_body(const bf16* x, const float* stats,
                                        const float* params, bf16* out,
                                        int rows, int width, int to_i8) {
  ApplyStats(x, stats, params, AffineAny{out, to_i8 != 0}, rows, width);
}

// --- softmax of one row -----------------------------------------------------

inline constexpr float kLog2E = 1.44269504F;
inline constexpr float kLowest = -3.0e38F;

SOTTO_INLINE Words LaneNumbers() {
  Words lane = vec::zeros<int32_t, 16>();
  for (unsigned i = 0; i < 16; ++i) lane.set(static_cast<int32_t>(i), i);
  return lane;
}

// Three passes over n values; both buffers hold n rounded up to 16, the tail of
// `in` is ignored, that of `out` becomes zero. Any finite logits.
SOTTO_INLINE void softmax_bf16_body(const bf16* in, bf16* out, int n) {
  SetProductionModes();
  const Words lanes = LaneNumbers();
  const auto logits = [&](int i) SOTTO_INLINE_LAMBDA {
    const Floats x = ToFloats(vec::load_v<16>(in + i));
    return vec::select(x, Float16(kLowest),
                       vec::ge(lanes, vec::broadcast<int32_t, 16>(n - i)));
  };
  Floats best = Float16(kLowest);
  for (int i = 0; i < n; i += 16) best = vec::max(best, logits(i));
  const Floats top = Float16(vec::reduce_max(best));
  // Differences below -100 are e^-100: nothing in any row's sum.
  const auto weight = [&](int i) SOTTO_INLINE_LAMBDA {
    const Floats x = logits(i);
    const Floats y = vec::max(vec::sub(x, top), Float16(-100.0F));
    return vec::select(Exp2(MulTwo(y, Float16(kLog2E))), Float16(0.0F),
                       vec::le(y, Float16(-100.0F)));
  };
  Floats sum = Float16(0.0F);
  for (int i = 0; i < n; i += 16) sum = vec::add(sum, weight(i));
  const TwoParts inverse = SplitTwo(Reciprocal(Float16(vec::reduce_add(sum))));
  for (int i = 0; i < n; i += 16) {
    vec::store_v(out + i,
                 ToHalves(Result(MacTwo(Sums(Float16(0.0F)),
                                        SplitTwo(weight(i)), inverse))));
  }
}

// --- element by element, n a multiple of 32 ---------------------------------

SOTTO_INLINE void gelu_bf16_body(const bf16* in, bf16* out, int n) {
  SetProductionModes();
  for (int i = 0; i < n; i += 16) {
    vec::store_v(out + i, ToHalves(Gelu(ToFloats(vec::load_v<16>(in + i)))));
  }
}
SOTTO_INLINE void add_bf16_body(const bf16* a, const bf16* b, bf16* out,
                                int n) {
  SetProductionModes();
  for (int i = 0; i < n; i += 16) {
    vec::store_v(out + i, ToHalves(vec::add(ToFloats(vec::load_v<16>(a + i)),
                                            ToFloats(vec::load_v<16>(b + i)))));
  }
}
// in / scale, `inverse` = 1 / scale.
SOTTO_INLINE void quantize_bf16_i8_body(const bf16* in, int8_t* out, int n,
                                        int inverse_bits) {
  SetProductionModes();
  const Floats inverse = Float16(FloatOfBits(inverse_bits));
  const auto word = [&](int i) SOTTO_INLINE_LAMBDA {
    return ToInt8Range(MulTwo(ToFloats(vec::load_v<16>(in + i)), inverse));
  };
  for (int i = 0; i < n; i += 32) {
    vec::store_v(out + i, PackInt8(word(i), word(i + 16)));
  }
}
SOTTO_INLINE void requantize_i32_i8_body(const int32_t* in, int8_t* out, int n,
                                         int multiplier_bits) {
  SetProductionModes();
  const Floats factor = Float16(FloatOfBits(multiplier_bits));
  const auto word = [&](int i) SOTTO_INLINE_LAMBDA {
    return ToInt8Range(MulTwo(vec::to_float(vec::load_v<16>(in + i)), factor));
  };
  for (int i = 0; i < n; i += 32) {
    vec::store_v(out + i, PackInt8(word(i), word(i + 16)));
  }
}
// round(GELU(in * scale) / out_scale).
SOTTO_INLINE void gelu_scaled_i8_body(const int8_t* in, int8_t* out, int n,
                                      int scale_bits, int inverse_bits) {
  SetProductionModes();
  const Floats scale = Float16(FloatOfBits(scale_bits));
  const Floats inverse = Float16(FloatOfBits(inverse_bits));
  const auto word = [&](const vec::vector<int32_t, 16>& x) SOTTO_INLINE_LAMBDA {
    return ToInt8Range(MulTwo(Gelu(MulTwo(vec::to_float(x), scale)), inverse));
  };
  for (int i = 0; i < n; i += 32) {
    const auto x = vec::accum<vec::acc32, 32>(vec::load_v<32>(in + i))
                       .to_vector<int32_t>(0);
    vec::store_v(out + i,
                 PackInt8(word(x.extract<16>(0)), word(x.extract<16>(1))));
  }
}

}  // namespace
}  // namespace sotto::npu

using namespace sotto::npu;  // NOLINT: the symbols below are the device's

SOTTO_SMALL_KERNEL(layer_norm_bf16,
                   (const vec::bf16* x, const float* params, vec::bf16* out,
                    int32_t rows, int32_t width),
                   (x, params, out, rows, width))
SOTTO_SMALL_KERNEL(layer_norm_i8,
                   (const vec::bf16* x, const float* params, int8_t* out,
                    int32_t rows, int32_t width),
                   (x, params, out, rows, width))
SOTTO_SMALL_KERNEL(layer_norm_stats,
                   (const vec::bf16* x, float* stats, int32_t rows,
                    int32_t width, int32_t step, int32_t steps,
                    int32_t inverse),
                   (x, stats, rows, width, step, steps, inverse))
SOTTO_SMALL_KERNEL(layer_norm_apply_bf16,
                   (const vec::bf16* x, const float* stats, const float* params,
                    vec::bf16* out, int32_t rows, int32_t width),
                   (x, stats, params, out, rows, width))
SOTTO_SMALL_KERNEL(layer_norm_apply,
                   (const vec::bf16* x, const float* stats, const float* params,
                    vec::bf16* out, int32_t rows, int32_t width, int32_t to_i8),
                   (x, stats, params, out, rows, width, to_i8))
SOTTO_SMALL_KERNEL(layer_norm_apply_i8,
                   (const vec::bf16* x, const float* stats, const float* params,
                    int8_t* out, int32_t rows, int32_t width),
                   (x, stats, params, out, rows, width))
SOTTO_SMALL_KERNEL(softmax_bf16,
                   (const vec::bf16* in, vec::bf16* out, int32_t n),
                   (in, out, n))
SOTTO_SMALL_KERNEL(gelu_bf16, (const vec::bf16* in, vec::bf16* out, int32_t n),
                   (in, out, n))
SOTTO_SMALL_KERNEL(add_bf16,
                   (const vec::bf16* a, const vec::bf16* b, vec::bf16* out,
                    int32_t n),
                   (a, b, out, n))
SOTTO_SMALL_KERNEL(quantize_bf16_i8,
                   (const vec::bf16* in, int8_t* out, int32_t n,
                    int32_t inverse_bits),
                   (in, out, n, inverse_bits))
SOTTO_SMALL_KERNEL(requantize_i32_i8,
                   (const int32_t* in, int8_t* out, int32_t n,
                    int32_t multiplier_bits),
                   (in, out, n, multiplier_bits))
SOTTO_SMALL_KERNEL(gelu_scaled_i8,
                   (const int8_t* in, int8_t* out, int32_t n,
                    int32_t scale_bits, int32_t inverse_bits),
                   (in, out, n, scale_bits, inverse_bits))
