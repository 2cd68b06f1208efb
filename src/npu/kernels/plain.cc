// SPDX-License-Identifier: MIT
#include "npu/kernels/plain.h"

#include "npu/kernels/elementary.h"

namespace sotto::npu {
namespace {

// f of each vector of 16.
template <typename F>
SOTTO_INLINE void Map(const bf16* in, bf16* out, int n, const F& f) {
  SetProductionModes();
  for (int i = 0; i < n; i += 16) {
    vec::store_v(out + i, ToHalves(f(ToFloats(vec::load_v<16>(in + i)))));
  }
}

SOTTO_INLINE Floats ClampedExp(const Floats& x) {
  return Exp(vec::min(vec::max(x, Float16(-87.0F)), Float16(87.0F)));
}
// (1 - t) / (1 + t) with t = e^(-2 |x|); near zero, where that cancels, the
// odd series to x^5.
SOTTO_INLINE Floats Tanh(const Floats& x) {
  const Floats magnitude = Absolute(x);
  const Floats one = Float16(1.0F);
  const Floats t =
      ClampedExp(vec::sub(Float16(0.0F), vec::add(magnitude, magnitude)));
  const Floats far = MulTwo(vec::sub(one, t), Reciprocal(vec::add(one, t)));
  const Floats square = MulTwo(magnitude, magnitude);
  Floats near =
      vec::add(MulTwo(square, Float16(2.0F / 15)), Float16(-1.0F / 3));
  near = MulTwo(magnitude, vec::add(MulTwo(square, near), one));
  const Floats value =
      vec::select(far, near, vec::lt(magnitude, Float16(0.25F)));
  const Words sign = vec::bit_and(x.cast_to<int32_t>(),
                                  vec::broadcast<int32_t, 16>(INT32_MIN));
  return vec::bit_or(value.cast_to<int32_t>(), sign).cast_to<float>();
}
SOTTO_INLINE Floats Sigmoid(const Floats& x) {
  const Floats t = ClampedExp(vec::sub(Float16(0.0F), x));
  return Reciprocal(vec::add(Float16(1.0F), t));
}

SOTTO_INLINE void Transpose(const uint16_t* in, uint16_t* out, int rows,
                            int cols) {
  for (int i = 0; i < rows; i += 8) {
    for (int j = 0; j < cols; j += 8) {
      vec::vector<uint16_t, 64> block = vec::zeros<uint16_t, 64>();
      for (unsigned r = 0; r < 8; ++r) {
        block.insert<8>(
            r, vec::load_v<8>(in + (i + static_cast<int>(r)) * cols + j));
      }
      block = vec::transpose<8, 8>(block);
      for (unsigned r = 0; r < 8; ++r) {
        vec::store_v(out + (j + static_cast<int>(r)) * rows + i,
                     block.extract<8>(r));
      }
    }
  }
}

SOTTO_INLINE void GemmI16(const int16_t* a, const int16_t* w, int32_t* acc,
                          int m, int k, int n, int step) {
  using Mmul = vec::mmul<4, 4, 4, int16_t, int16_t>;
  vec::set_saturation(vec::saturation_mode::none);
  const int ks = k / 4;
  for (int i = 0; i < m / 4; i += 2) {
    for (int j = 0; j < n / 4; j += 2) {
      Mmul c[2][2];
      for (int r = 0; r < 2; ++r) {
        for (int b = 0; b < 2; ++b) {
          int32_t* at = acc + ((i + r) * (n / 4) + j + b) * 16;
          c[r][b] =
              Mmul(step == 0 ? vec::zeros<int32_t, 16>() : vec::load_v<16>(at));
          for (int l = 0; l < ks; ++l) {
            c[r][b].mac(vec::load_v<16>(a + ((i + r) * ks + l) * 16),
                        vec::load_v<16>(w + ((j + b) * ks + l) * 16));
          }
          vec::store_v(at, c[r][b].to_vector<int32_t>());
        }
      }
    }
  }
}

}  // namespace
}  // namespace sotto::npu

using namespace sotto::npu;  // NOLINT: the symbols below are the device's

extern "C" {

void passthrough_u8(const uint8_t* in, uint8_t* out, int32_t bytes) {
  for (int i = 0; i < bytes; i += 64) {
    vec::store_v(out + i, vec::load_v<64>(in + i));
  }
}
// The same for two of many: to `first` when `step` is `own`, to `second` when
// it is `next`.
void keep_u8(const uint8_t* in, uint8_t* first, uint8_t* second, int32_t bytes,
             int32_t step, int32_t own, int32_t next) {
  if (step == own || step == next)
    passthrough_u8(in, step == own ? first : second, bytes);
}
void zero_u8(uint8_t* out, int32_t bytes) {
  for (int i = 0; i < bytes; i += 64) {
    vec::store_v(out + i, vec::zeros<uint8_t, 64>());
  }
}
void add_i8(const int8_t* a, const int8_t* b, int8_t* out, int32_t n) {
  vec::set_saturation(vec::saturation_mode::saturate);
  for (int i = 0; i < n; i += 32) {
    const vec::accum<vec::acc32, 32> sum =
        vec::add(vec::accum<vec::acc32, 32>(vec::load_v<32>(a + i)),
                 vec::accum<vec::acc32, 32>(vec::load_v<32>(b + i)));
    vec::store_v(out + i, sum.to_vector<int8_t>(0));
  }
}
void exp_bf16(const vec::bf16* in, vec::bf16* out, int32_t n) {
  Map(in, out, n, [](const Floats& x) { return ClampedExp(x); });
}
void tanh_bf16(const vec::bf16* in, vec::bf16* out, int32_t n) {
  Map(in, out, n, [](const Floats& x) { return Tanh(x); });
}
void sigmoid_bf16(const vec::bf16* in, vec::bf16* out, int32_t n) {
  Map(in, out, n, [](const Floats& x) { return Sigmoid(x); });
}
void silu_bf16(const vec::bf16* in, vec::bf16* out, int32_t n) {
  Map(in, out, n, [](const Floats& x) { return MulTwo(x, Sigmoid(x)); });
}
void relu_bf16(const vec::bf16* in, vec::bf16* out, int32_t n) {
  Map(in, out, n, [](const Floats& x) { return vec::max(x, Float16(0.0F)); });
}
void axpy_bf16(const vec::bf16* x, const vec::bf16* y, vec::bf16* out,
               int32_t n, int32_t a_bits) {
  SetProductionModes();
  const Halves a = Half16(FloatOfBits(a_bits));
  for (int i = 0; i < n; i += 16) {
    const Sums sum =
        vec::mac(Sums(vec::load_v<16>(y + i)), a, vec::load_v<16>(x + i));
    vec::store_v(out + i, sum.to_vector<vec::bf16>());
  }
}
void narrow_f32_bf16(const float* in, vec::bf16* out, int32_t n) {
  SetProductionModes();
  for (int i = 0; i < n; i += 16) {
    vec::store_v(out + i, ToHalves(vec::load_v<16>(in + i)));
  }
}
void transpose_bf16(const vec::bf16* in, vec::bf16* out, int32_t rows,
                    int32_t cols) {
  Transpose(reinterpret_cast<const uint16_t*>(in),
            reinterpret_cast<uint16_t*>(out), rows, cols);
}
void gemm_i16(const int16_t* a, const int16_t* w, int32_t* acc, int32_t m,
              int32_t k, int32_t n, int32_t step) {
  GemmI16(a, w, acc, m, k, n, step);
}
void mv_bf16(const vec::bf16* a, const vec::bf16* x, float* y, int32_t m,
             int32_t k) {
  for (int i = 0; i < m; ++i) {
    Sums sum(Float16(0.0F));
    for (int l = 0; l < k; l += 16) {
      sum =
          vec::mac(sum, vec::load_v<16>(a + i * k + l), vec::load_v<16>(x + l));
    }
    y[i] = vec::reduce_add(Result(sum));
  }
}
void max_i32(const int32_t* in, int32_t* out, int32_t n) {
  Words best = vec::load_v<16>(in);
  for (int i = 16; i < n; i += 16) {
    best = vec::max(best, vec::load_v<16>(in + i));
  }
  out[0] = vec::reduce_max(best);
}

}  // extern "C"
