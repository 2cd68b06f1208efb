// SPDX-License-Identifier: MIT
// Matrix products of the encoder, a tile at a time: C stays in L1 while K is
// streamed, then one epilogue scales, adds and narrows it.
//
// Layouts (all activations have one, whatever their type):
//   activations  [m/4][k/8][4][8]
//   weights int8 [n/8][k/8][8 of k][8 of n]
//   weights bf16 [n/4][k/8][8 of k][4 of n]
//   sums   int32 [m/4][n/8][4][8], f32 [m/4][n/4][4][4]
// m a multiple of 8, n of 32, k of 8.
#include "npu/kernels/device.h"
#include "npu/kernels/elementary.h"

namespace sotto::npu {
namespace {

// 2 x 4 blocks of 4x8 sums at a time: eight of the nine accumulators, ten loads
// for eight multiplies, so the multiplier is what limits.
SOTTO_INLINE void gemm_i8_body(const int8_t* a, const int8_t* w, int32_t* acc,
                               int m, int k, int n, int step) {
  using Mmul = vec::mmul<4, 8, 8, int8_t, int8_t>;
  const int k_blocks = k / 8;
  const int n_blocks = n / 8;
  vec::set_saturation(vec::saturation_mode::none);
  for (int i = 0; i < m / 4; i += 2) {
    for (int j = 0; j < n_blocks; j += 4) {
      int32_t* c0 = acc + (i * n_blocks + j) * 32;
      int32_t* c1 = c0 + n_blocks * 32;
      const vec::vector<int32_t, 32> zero = vec::zeros<int32_t, 32>();
      Mmul c[2][4];
      for (int b = 0; b < 4; ++b) {
        c[0][b] = Mmul(step == 0 ? zero : vec::load_v<32>(c0 + b * 32));
        c[1][b] = Mmul(step == 0 ? zero : vec::load_v<32>(c1 + b * 32));
      }
      const int8_t* a0 = a + i * k_blocks * 32;
      const int8_t* a1 = a0 + k_blocks * 32;
      const int8_t* w0 = w + j * k_blocks * 64;
      for (int l = 0; l < k_blocks; ++l) {
        const auto x0 = vec::load_v<32>(a0 + l * 32);
        const auto x1 = vec::load_v<32>(a1 + l * 32);
        for (int b = 0; b < 4; ++b) {
          const auto y = vec::load_v<64>(w0 + (b * k_blocks + l) * 64);
          c[0][b].mac(x0, y);
          c[1][b].mac(x1, y);
        }
      }
      for (int b = 0; b < 4; ++b) {
        vec::store_v(c0 + b * 32, c[0][b].to_vector<int32_t>());
        vec::store_v(c1 + b * 32, c[1][b].to_vector<int32_t>());
      }
    }
  }
}

// 2 x 8 blocks of 4x4 sums: sixteen of the eighteen half accumulators, four
// times what covers the four cycles between dependent bf16 multiplies. Wide
// tiles are entered less often.
SOTTO_INLINE void gemm_bf16_body(const bf16* a, const bf16* w, float* acc,
                                 int m, int k, int n, int step) {
  using Mmul = vec::mmul<4, 8, 4, bf16, bf16>;
  const int k_blocks = k / 8;
  const int n_blocks = n / 4;
  for (int i = 0; i < m / 4; i += 2) {
    for (int j = 0; j < n_blocks; j += 8) {
      float* c0 = acc + (i * n_blocks + j) * 16;
      float* c1 = c0 + n_blocks * 16;
      Mmul c[2][8];
      for (int b = 0; b < 8; ++b) {
        const Floats zero = Float16(0.0F);
        c[0][b] = Mmul(step == 0 ? zero : vec::load_v<16>(c0 + b * 16));
        c[1][b] = Mmul(step == 0 ? zero : vec::load_v<16>(c1 + b * 16));
      }
      const bf16* a0 = a + i * k_blocks * 32;
      const bf16* a1 = a0 + k_blocks * 32;
      const bf16* w0 = w + j * k_blocks * 32;
      for (int l = 0; l < k_blocks; ++l) {
        const auto x0 = vec::load_v<32>(a0 + l * 32);
        const auto x1 = vec::load_v<32>(a1 + l * 32);
        for (int b = 0; b < 8; ++b) {
          const auto y = vec::load_v<32>(w0 + (b * k_blocks + l) * 32);
          c[0][b].mac(x0, y);
          c[1][b].mac(x1, y);
        }
      }
      for (int b = 0; b < 8; ++b) {
        vec::store_v(c0 + b * 16, c[0][b].to_vector<float>());
        vec::store_v(c1 + b * 16, c[1][b].to_vector<float>());
      }
    }
  }
}

// --- epilogues --------------------------------------------------------------
//
// params: f32 [3][n]: multipliers (int8 only), biases, scales. value = sum *
// multiplier + bias, then GELU where asked, then
//   bf16: rounded to nearest even;
//   residual: plus the residual in f32, then bf16;
//   i8: times the channel's scale, rounded to nearest even, saturated; after
//     GELU counted from its least value (device.h, kGeluDepth).
// A block of 4x8 outputs is two vectors of two rows.

struct BlockValues {
  Floats low, high;  // rows 0 and 1, rows 2 and 3
};

// Sources of 4x8 blocks of sums as floats.
struct IntSums {
  const int32_t* acc;
  int n;
  SOTTO_INLINE BlockValues Block(int i, int j) const {
    const int32_t* p = acc + (i * (n / 8) + j) * 32;
    return {vec::to_float(vec::load_v<16>(p)),
            vec::to_float(vec::load_v<16>(p + 16))};
  }
};
struct FloatSums {
  const float* acc;
  int n;
  // Two 4x4 blocks side by side, zipped row by row.
  SOTTO_INLINE BlockValues Block(int i, int j) const {
    const float* p = acc + (i * (n / 4) + 2 * j) * 16;
    const auto [low, high] =
        vec::interleave_zip<4>(vec::load_v<16>(p), vec::load_v<16>(p + 16));
    return {low, high};
  }
};

struct Bf16Out {
  bf16* out;
  SOTTO_INLINE void Store(int at, const BlockValues& v, int) const {
    vec::store_v(out + at, vec::concat(ToHalves(v.low), ToHalves(v.high)));
  }
};
struct ResidualOut {
  const bf16* residual;
  bf16* out;
  SOTTO_INLINE void Store(int at, const BlockValues& v, int j) const {
    const Floats low = ToFloats(vec::load_v<16>(residual + at));
    const Floats high = ToFloats(vec::load_v<16>(residual + at + 16));
    Bf16Out{out}.Store(at, {vec::add(v.low, low), vec::add(v.high, high)}, j);
  }
};
struct Int8Out {
  int8_t* out;
  const float* scales;
  bool gelu;
  SOTTO_INLINE void Store(int at, const BlockValues& v, int j) const {
    const Floats scale = TwoRows(scales + j * 8);
    const TwoParts factor = SplitTwo(scale);
    const Sums zero(gelu ? ZeroAfterGelu(scale) : Float16(0.0F));
    vec::store_v(
        out + at,
        PackInt8(ToInt8Range(Result(MacTwo(zero, SplitTwo(v.low), factor))),
                 ToInt8Range(Result(MacTwo(zero, SplitTwo(v.high), factor)))));
  }
  SOTTO_INLINE static Floats ZeroAfterGelu(const Floats& scale) {
    const Floats depth = MulTwo(scale, Float16(kGeluDepth));
    return vec::sub(vec::add(depth, Float16(kRound)), Float16(kRound + 128.0F));
  }
};

// What the call's mode says (device.h): one program for all products of a core
// whose program memory has no room for three.
struct Bf16Any {
  const bf16* residual;
  bf16* out;
  int mode;
  SOTTO_INLINE void Store(int at, const BlockValues& v, int j) const {
    if ((mode & kFinishResidual) != 0) {
      ResidualOut{residual, out}.Store(at, v, j);
    } else {
      Bf16Out{out}.Store(at, v, j);
    }
  }
};
struct AnyOut {
  const bf16* residual;
  bf16* out;
  const float* scales;
  int mode;
  SOTTO_INLINE void Store(int at, const BlockValues& v, int j) const {
    if ((mode & kFinishInt8) != 0) {
      Int8Out{reinterpret_cast<int8_t*>(out), scales, (mode & kFinishGelu) != 0}
          .Store(at, v, j);
    } else {
      Bf16Any{residual, out, mode}.Store(at, v, j);
    }
  }
};

template <typename Source, typename Sink>
SOTTO_INLINE void Epilogue(const Source& source, const float* params,
                           const Sink& sink, int m, int n, bool gelu) {
  SetProductionModes();
  for (int j = 0; j < n / 8; ++j) {
    const TwoParts multiplier = SplitTwo(TwoRows(params + j * 8));
    const Floats bias = TwoRows(params + n + j * 8);
    for (int i = 0; i < m / 4; ++i) {
      BlockValues v = source.Block(i, j);
      v.low = Result(MacTwo(Sums(bias), SplitTwo(v.low), multiplier));
      v.high = Result(MacTwo(Sums(bias), SplitTwo(v.high), multiplier));
      if (gelu) v = {Gelu(v.low), Gelu(v.high)};
      sink.Store((i * (n / 8) + j) * 32, v, j);
    }
  }
}
// bf16 sums need no multiplier.
template <typename Sink>
SOTTO_INLINE void BiasEpilogue(const FloatSums& source, const float* params,
                               const Sink& sink, int m, int n, bool gelu) {
  SetProductionModes();
  for (int j = 0; j < n / 8; ++j) {
    const Floats b = TwoRows(params + n + j * 8);
    for (int i = 0; i < m / 4; ++i) {
      BlockValues v = source.Block(i, j);
      v = {vec::add(v.low, b), vec::add(v.high, b)};
      if (gelu) v = {Gelu(v.low), Gelu(v.high)};
      sink.Store((i * (n / 8) + j) * 32, v, j);
    }
  }
}

SOTTO_INLINE void finish_i8_bf16_body(const int32_t* acc, const float* params,
                                      bf16* out, int m, int n, int gelu) {
  Epilogue(IntSums{acc, n}, params, Bf16Out{out}, m, n, gelu != 0);
}
SOTTO_INLINE void finish_i8_i8_body(const int32_t* acc, const float* params,
                                    int8_t* out, int m, int n, int gelu) {
  Epilogue(IntSums{acc, n}, params, Int8Out{out, params + 2 * n, gelu != 0}, m,
           n, gelu != 0);
}
SOTTO_INLINE void finish_i8_residual_body(const int32_t* acc,
                                          const float* params,
                                          const bf16* residual, bf16* out,
                                          int m, int n, int gelu) {
  Epilogue(IntSums{acc, n}, params, ResidualOut{residual, out}, m, n,
           gelu != 0);
}
SOTTO_INLINE void finish_bf16_bf16_body(const float* acc, const float* params,
                                        bf16* out, int m, int n, int gelu) {
  BiasEpilogue(FloatSums{acc, n}, params, Bf16Out{out}, m, n, gelu != 0);
}
SOTTO_INLINE void finish_bf16_i8_body(const float* acc, const float* params,
                                      int8_t* out, int m, int n, int gelu) {
  BiasEpilogue(FloatSums{acc, n}, params,
               Int8Out{out, params + 2 * n, gelu != 0}, m, n, gelu != 0);
}
SOTTO_INLINE void finish_bf16_residual_body(const float* acc,
                                            const float* params,
                                            const bf16* residual, bf16* out,
                                            int m, int n, int gelu) {
  BiasEpilogue(FloatSums{acc, n}, params, ResidualOut{residual, out}, m, n,
               gelu != 0);
}

SOTTO_INLINE void finish_i8_body(const int32_t* acc, const float* params,
                                 const bf16* residual, bf16* out, int m, int n,
                                 int mode) {
  Epilogue(IntSums{acc, n}, params, AnyOut{residual, out, params + 2 * n, mode},
           m, n, (mode & kFinishGelu) != 0);
}
SOTTO_INLINE void finish_bf16_body(const float* acc, const float* params,
                                   const bf16* residual, bf16* out, int m,
                                   int n, int mode) {
  BiasEpilogue(FloatSums{acc, n}, params, Bf16Any{residual, out, mode}, m, n,
               (mode & kFinishGelu) != 0);
}

// 64x64x64 in one call: bf16 in and out, no bias. scratch: the f32 sums.
SOTTO_INLINE void matmul_bf16_64_body(const bf16* a, const bf16* b, bf16* c,
                                      float* scratch) {
  gemm_bf16_body(a, b, scratch, 64, 64, 64, 0);
  SetProductionModes();
  for (int i = 0; i < 16; ++i) {
    for (int j = 0; j < 8; ++j) {
      Bf16Out{c}.Store((i * 8 + j) * 32, FloatSums{scratch, 64}.Block(i, j), j);
    }
  }
}

}  // namespace
}  // namespace sotto::npu

using namespace sotto::npu;  // NOLINT: the symbols below are the device's

SOTTO_KERNEL(gemm_i8,
             (const int8_t* a, const int8_t* w, int32_t* acc, int32_t m,
              int32_t k, int32_t n, int32_t step),
             (a, w, acc, m, k, n, step))
SOTTO_KERNEL(gemm_bf16,
             (const vec::bf16* a, const vec::bf16* w, float* acc, int32_t m,
              int32_t k, int32_t n, int32_t step),
             (a, w, acc, m, k, n, step))
SOTTO_KERNEL(finish_i8_bf16,
             (const int32_t* acc, const float* params, vec::bf16* out,
              int32_t m, int32_t n, int32_t gelu),
             (acc, params, out, m, n, gelu))
SOTTO_KERNEL(finish_i8_i8,
             (const int32_t* acc, const float* params, int8_t* out, int32_t m,
              int32_t n, int32_t gelu),
             (acc, params, out, m, n, gelu))
SOTTO_KERNEL(finish_i8_residual,
             (const int32_t* acc, const float* params,
              const vec::bf16* residual, vec::bf16* out, int32_t m, int32_t n,
              int32_t gelu),
             (acc, params, residual, out, m, n, gelu))
SOTTO_KERNEL(finish_bf16_bf16,
             (const float* acc, const float* params, vec::bf16* out, int32_t m,
              int32_t n, int32_t gelu),
             (acc, params, out, m, n, gelu))
SOTTO_KERNEL(finish_bf16_i8,
             (const float* acc, const float* params, int8_t* out, int32_t m,
              int32_t n, int32_t gelu),
             (acc, params, out, m, n, gelu))
SOTTO_KERNEL(finish_bf16_residual,
             (const float* acc, const float* params, const vec::bf16* residual,
              vec::bf16* out, int32_t m, int32_t n, int32_t gelu),
             (acc, params, residual, out, m, n, gelu))
SOTTO_KERNEL(finish_i8,
             (const int32_t* acc, const float* params,
              const vec::bf16* residual, vec::bf16* out, int32_t m, int32_t n,
              int32_t mode),
             (acc, params, residual, out, m, n, mode))
SOTTO_KERNEL(finish_bf16,
             (const float* acc, const float* params, const vec::bf16* residual,
              vec::bf16* out, int32_t m, int32_t n, int32_t mode),
             (acc, params, residual, out, m, n, mode))
SOTTO_KERNEL(matmul_bf16_64,
             (const vec::bf16* a, const vec::bf16* b, vec::bf16* c,
              float* scratch),
             (a, b, c, scratch))
