// SPDX-License-Identifier: MIT
// The published int8 attention kernels, bit for bit, faults included: scalar,
// scores without a real-valued scale, probabilities in 0..127. Kept to
// reproduce published outputs and to show what a scale and a running maximum
// are worth; flash.cc is what the encoder uses.
//
// qkv: Q, K, V of N x D int8, row-major, one behind the other. out: N x D int8.
// shift: right shift of the integer scores.
#include "npu/kernels/device.h"
#include "npu/kernels/stack.h"
#include "npu/kernels/vec.h"

namespace sotto::npu {
namespace {

// max(1, round(2^20 exp(-i))); all later entries are 1.
constexpr int32_t kExp[128] = {1048576, 385750, 141909, 52206, 19205,
                               7065,    2599,   956,    352,   129,
                               48,      18,     6,      2};
constexpr int32_t ExpTable(int i) { return kExp[i] > 0 ? kExp[i] : 1; }

constexpr int32_t Clamp(int32_t x, int32_t low, int32_t high) {
  return x < low ? low : x > high ? high : x;
}

int32_t Dot(const int8_t* a, const int8_t* b, int n) {
  int32_t sum = 0;
  for (int i = 0; i < n; ++i) sum += a[i] * b[i];
  return sum;
}

template <typename T>
int32_t Maximum(const T* x, int n) {
  int32_t best = x[0];
  for (int i = 1; i < n; ++i) best = x[i] > best ? x[i] : best;
  return best;
}

// Weight of a score, version by version. v1 is not monotonic, v2 wraps.
int32_t Exp0(int32_t x) {
  x = Clamp(x, -64, 0);
  return 64 + x + x * x / 128;
}
int32_t Exp1(int32_t x) {
  x = Clamp(x, -127, 0);
  if (x <= -80) return 1;
  if (x <= -40) return 65536 / (256 - 4 * x);
  const int32_t e = 256 + 8 * x + ((x * x >> 5) >> 1);
  return e > 1 ? e : 1;
}
int32_t Exp2(int32_t x) {
  const int8_t wrapped = static_cast<int8_t>(x);
  return ExpTable(-Clamp(wrapped, -127, 0));
}
int32_t Exp3(int32_t x) { return ExpTable(-Clamp(x >> 8, -127, 0)); }

template <int kVersion>
int32_t Exp(int32_t x) {
  if constexpr (kVersion == 0) return Exp0(x);
  if constexpr (kVersion == 1) return Exp1(x);
  if constexpr (kVersion == 2) return Exp2(x);
  return Exp3(x);
}

// One row of scores to probabilities in 0..127.
template <int kVersion, typename T>
void Softmax(const T* scores, int32_t* exps, int8_t* out, int n) {
  const int32_t best = Maximum(scores, n);
  uint32_t sum = 0;
  for (int i = 0; i < n; ++i) {
    exps[i] = Exp<kVersion>(scores[i] - best);
    sum += static_cast<uint32_t>(exps[i]);
  }
  for (int i = 0; i < n; ++i) {
    const uint32_t e = static_cast<uint32_t>(exps[i]);
    uint32_t p = 0;
    if constexpr (kVersion == 0) {
      p = e * 127 / sum;
    } else if constexpr (kVersion == 3) {
      const uint32_t low = sum >> 10;
      p = (e >> 10) * 127 / (low > 1 ? low : 1);
    } else {
      p = (127 * e + (sum >> 1)) / sum;
    }
    out[i] = static_cast<int8_t>(p < 127 ? p : 127);
  }
}

template <int kVersion>
int8_t Narrow(int32_t w) {
  if constexpr (kVersion != 0) w += w >= 0 ? 64 : -64;
  return static_cast<int8_t>(Clamp(w >> 7, -128, 127));
}

template <int kVersion, int kD>
void WeightedSum(const int8_t* weights, const int8_t* v, int8_t* out, int rows,
                 int n) {
  for (int i = 0; i < rows; ++i) {
    for (int j = 0; j < kD; ++j) {
      int32_t sum = 0;
      for (int k = 0; k < n; ++k) sum += weights[i * n + k] * v[k * kD + j];
      out[i * kD + j] = Narrow<kVersion>(sum);
    }
  }
}

// The frame of v0 to v2 with the order of its arrays: the only one, of those
// whose sizes add up to the frame in the published ELF's prologue, that gives
// the published output with 3730 values other than zero.
template <int kRows, int kN, int kLowSpill, int kHighSpill>
struct ByteScores {
  std::byte low_spill[kLowSpill];
  int8_t scores[kRows * kN];
  int8_t weights[kRows * kN];
  int32_t exps[kN];
  std::byte high_spill[kHighSpill];
};
static_assert(sizeof(ByteScores<32, 64, 64, 32>) == 32 + 4416);
static_assert(sizeof(ByteScores<16, 16, 64, 32>) == 672);

// v3 keeps one row of 32-bit scores. 2656 bytes in the published ELF; the
// order within is not known.
template <int kRows, int kN>
struct WordScores {
  std::byte low_spill[64];
  int32_t scores[kN];
  int8_t weights[kRows * kN];
  int32_t exps[kN];
  std::byte high_spill[64];
};
static_assert(sizeof(WordScores<32, 64>) == 32 + 2656);

template <int kVersion, int kRows, int kN, int kD, typename Locals>
void Block(Locals& at, const int8_t* q, const int8_t* k, const int8_t* v,
           int8_t* out, int shift) {
  if constexpr (kVersion == 3) {
    for (int i = 0; i < kRows; ++i) {
      for (int j = 0; j < kN; ++j) {
        at->scores[j] = Dot(q + i * kD, k + j * kD, kD) >> shift;
      }
      Softmax<3>(at->scores, at->exps, at->weights + i * kN, kN);
    }
  } else {
    for (int i = 0; i < kRows; ++i) {
      for (int j = 0; j < kN; ++j) {
        at->scores[i * kN + j] = static_cast<int8_t>(
            Clamp(Dot(q + i * kD, k + j * kD, kD) >> shift, -128, 127));
      }
    }
    for (int i = 0; i < kRows; ++i) {
      Softmax<kVersion>(at->scores + i * kN, at->exps, at->weights + i * kN,
                        kN);
    }
  }
  WeightedSum<kVersion, kD>(at->weights, v, out, kRows, kN);
}

// kRows rows of queries at a time.
template <int kVersion, int kRows, int kN, int kD, typename Locals>
void Attention(const int8_t* qkv, int8_t* out, int shift) {
  Frame<Locals> at;
  const int8_t* k = qkv + kN * kD;
  const int8_t* v = k + kN * kD;
  for (int row = 0; row < kN; row += kRows) {
    Block<kVersion, kRows, kN, kD>(at, qkv + row * kD, k, v, out + row * kD,
                                   shift);
  }
}

}  // namespace
}  // namespace sotto::npu

using namespace sotto::npu;  // NOLINT: the symbols below are the device's

extern "C" {

void attention_16x16(const int8_t* qkv, int8_t* out, int32_t shift) {
  Attention<0, 16, 16, 16, ByteScores<16, 16, 64, 32>>(qkv, out, shift);
}

#define SOTTO_ATTENTION(version, Tiled, Whole)                          \
  void attention_64x64_v##version(const int8_t* qkv, int8_t* out,       \
                                  int32_t shift) {                      \
    Attention<version, 32, 64, 64, Tiled>(qkv, out, shift);             \
  }                                                                     \
  void attention_64x64_whole_v##version(const int8_t* qkv, int8_t* out, \
                                        int32_t shift) {                \
    Attention<version, 64, 64, 64, Whole>(qkv, out, shift);             \
  }
using TiledBytes = ByteScores<32, 64, 64, 32>;
using WholeBytes = ByteScores<64, 64, 64, 32>;
using TiledWords = WordScores<32, 64>;
using WholeWords = WordScores<64, 64>;
SOTTO_ATTENTION(0, TiledBytes, WholeBytes)
SOTTO_ATTENTION(1, TiledBytes, WholeBytes)
SOTTO_ATTENTION(2, TiledBytes, WholeBytes)
SOTTO_ATTENTION(3, TiledWords, WholeWords)
#undef SOTTO_ATTENTION

void attention_scores_64x64(const int8_t* q, const int8_t* k, int8_t* scores,
                            int32_t shift) {
  for (int i = 0; i < 64; ++i) {
    for (int j = 0; j < 64; ++j) {
      scores[i * 64 + j] = static_cast<int8_t>(
          Clamp(Dot(q + i * 64, k + j * 64, 64) >> shift, -128, 127));
    }
  }
}

// Two heads, one behind the other.
void attention_2heads_v0(const int8_t* qkv, int8_t* out, int32_t shift) {
  attention_64x64_v0(qkv, out, shift);
  attention_64x64_v0(qkv + 3 * 64 * 64, out + 64 * 64, shift);
}

}  // extern "C"
