// SPDX-License-Identifier: MIT
// What a CPU kernel gets, promises, and in which layouts it reads.
//
// A kernel is a plain function over one argument struct and a context. It
// splits its own work over the context's threads. Whatever could be wrong was
// refused when it was selected (cpu/select.h); it does not check again, does
// not throw and does not allocate: its scratch was planned.
//
// One summation order per (type, machine class), shared by the row kernels
// (few rows, decoding) and the tile kernels (many rows), so that the number of
// rows in a call changes no bit of any row. `Order` names it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/thread_pool.h"
#include "ir/graph.h"
#include "tensor/dtype.h"

namespace sotto::cpu {

struct Context {
  ThreadPool* pool;
  std::byte* scratch;  // 64-byte aligned, as many bytes as the kernel asked
};

// How a dot product of length K is summed; f32 throughout.
enum class Order : uint8_t {
  // Per block of kSumBlock k's: acc = fma(x[k], w[k], acc) from zero; then the
  // blocks are added in order.
  kChain,
  // bf16 as vdpbf16ps: per pair, acc += x[2i+1] w[2i+1], then x[2i] w[2i].
  kPairs,
  // bf16 as tdpbf16ps: per block of 32, even and odd chains from zero, then
  // acc += even + odd. No fused rounding between blocks; denormals are zero.
  kTile,
  // The reference: products and sums in double.
  kDouble,
};

inline constexpr int64_t kSumBlock = 256;

// Packed matrices, [N, K] in the checkpoint. N is padded to 16 with zero
// rows, K to 2 (f32, f16: to 1) ... bf16 pads K to 32, a tile's depth.
//   f32:  [N/16][K][16]        f16: the same in half
//   bf16: [N/16][K/2][16][2]   (the VNNI order of vdpbf16ps and AMX B tiles)
inline constexpr int64_t kPanel = 16;
inline constexpr int64_t kTileDepth = 32;

constexpr int64_t RoundUp(int64_t value, int64_t to) {
  return (value + to - 1) / to * to;
}
constexpr int64_t PaddedK(DType dtype, int64_t k) {
  return dtype == DType::kBF16 ? RoundUp(k, kTileDepth) : k;
}
// Elements of a packed [n, k] matrix.
constexpr int64_t PackedElements(DType dtype, int64_t n, int64_t k) {
  return RoundUp(n, kPanel) * PaddedK(dtype, k);
}
// Index of element (row n, column k) in a packed matrix of `padded_k`.
constexpr int64_t PackedIndex(DType dtype, int64_t padded_k, int64_t n,
                              int64_t k) {
  const int64_t panel = n / kPanel * kPanel * padded_k;
  if (dtype != DType::kBF16) return panel + k * kPanel + n % kPanel;
  return panel + (k / 2 * kPanel + n % kPanel) * 2 + k % 2;
}

// KV states, per (slot, head), one after the other; positions P are padded to
// 32 (KvPositions), head_dim is H.
//   keys   f32: [P/16][H][16]       bf16: [P/16][H/2][16][2]
//   values f32: [P][H]              bf16: [P/2][H][2]
// Scores of 16 neighbouring positions come out of one register, and both are
// AMX B tiles as they stand.
constexpr int64_t KvPositions(int64_t positions) {
  return RoundUp(positions, kTileDepth);
}
constexpr int64_t KvIndex(DType dtype, ir::KvKind kind, int64_t head_dim,
                          int64_t position, int64_t d) {
  const bool pairs = dtype == DType::kBF16;
  if (kind == ir::KvKind::kKey) {
    const int64_t panel = position / kPanel * kPanel * head_dim;
    if (!pairs) return panel + d * kPanel + position % kPanel;
    return panel + (d / 2 * kPanel + position % kPanel) * 2 + d % 2;
  }
  if (!pairs) return position * head_dim + d;
  return position / 2 * 2 * head_dim + d * 2 + position % 2;
}

// Flash attention walks keys in blocks of this many positions, counted from
// position 0, in every kernel: the running maximum, and so the rounding, is
// the same for row and tile kernels and for every bucket.
inline constexpr int64_t kKeyBlock = 128;

// y[m, n] = act(sum_k x[m, k] w[n, k] + bias[n]) + residual[m, n]
// A convolution of kernel 3 is this with x_stride = stride * C, k = 3 C over
// a padded input. `residual` may be y. Strides in elements.
struct LinearArgs {
  int64_t m = 0, n = 0, k = 0;
  const void* x = nullptr;  // f32 or bf16
  DType x_type = DType::kF32;
  int64_t x_stride = 0;
  const void* w = nullptr;  // packed
  DType w_type = DType::kF32;
  const float* bias = nullptr;      // may be null; n values
  const float* residual = nullptr;  // may be null
  int64_t residual_stride = 0;
  // Rows after which the residual starts again (positions shared by a batch);
  // m where it does not.
  int64_t residual_rows = 0;
  void* y = nullptr;
  int64_t y_stride = 0;
  DType y_type = DType::kF32;  // f32 or bf16
  ir::Activation act = ir::Activation::kNone;
};

// Self-attention of the encoder. q, k, v, y: [batch][t][stride], head h at
// columns [h * head_dim, (h + 1) * head_dim).
struct AttentionArgs {
  int64_t batch = 1, t = 0, heads = 0, head_dim = 0;
  const void* q = nullptr;
  const void* k = nullptr;
  const void* v = nullptr;
  DType x_type = DType::kF32;                        // of q, k and v
  int64_t q_stride = 0, k_stride = 0, v_stride = 0;  // between rows
  void* y = nullptr;
  int64_t y_stride = 0;
  float scale = 1;
  int64_t q_chunk = 0;  // 0: the kernel's choice
  DType y_type = DType::kF32;
};

// Attention over packed K and V states (layout above).
struct CachedAttentionArgs {
  int64_t batch = 1, tokens = 1, heads = 0, head_dim = 0;
  const void* q = nullptr;  // [batch * tokens][q_stride]
  DType q_type = DType::kF32;
  int64_t q_stride = 0;
  const void* k = nullptr;  // state of slot 0
  const void* v = nullptr;
  DType kv_type = DType::kF32;
  int64_t slot_stride = 0;        // elements between slots
  int64_t head_stride = 0;        // elements between heads
  const int32_t* pos = nullptr;   // [batch]
  const int32_t* slot = nullptr;  // [batch]
  int64_t extent = 0;  // keys seen where not causal; bound where causal
  bool causal = true;
  // Most query rows that share one pass over keys and values; 0: the kernel's
  // choice, which is also the most that it ever takes where it holds rows in
  // registers of a fixed number.
  int64_t q_chunk = 0;
  void* y = nullptr;
  int64_t y_stride = 0;
  float scale = 1;
  DType y_type = DType::kF32;
};

// Direct convolution of kernel 3, zero padding 1, as ops.def says it; only the
// reference has it, everything else runs it as Linear. `w` is packed with
// k = tap * channels + c. x: [batch][t][x_stride], y: [batch][t'][y_stride].
struct Conv1dArgs {
  int64_t batch = 1, t = 0, channels = 0, n = 0, stride = 1;
  const void* x = nullptr;
  DType x_type = DType::kF32;
  int64_t x_stride = 0;
  const void* w = nullptr;
  DType w_type = DType::kF32;
  const float* bias = nullptr;
  const float* residual = nullptr;  // may be null
  int64_t residual_stride = 0;
  int64_t residual_rows = 0;  // as in LinearArgs
  void* y = nullptr;
  int64_t y_stride = 0;
  DType y_type = DType::kF32;
  ir::Activation act = ir::Activation::kNone;
};

// Rows of a matrix in memory: f32, f16 or bf16.
struct RowsIn {
  const void* data = nullptr;
  DType type = DType::kF32;
  int64_t stride = 0;
};
struct RowsOut {
  void* data = nullptr;
  DType type = DType::kF32;
  int64_t stride = 0;
};

// (x - mean) / sqrt(variance + epsilon) * w + b over each of m rows.
struct LayerNormArgs {
  int64_t m = 0, n = 0;
  RowsIn x;
  const float* w = nullptr;
  const float* b = nullptr;
  float epsilon = 1e-5f;
  RowsOut y;
};

// y = f(x), element by element; y may be x where the types are one.
struct MapArgs {
  int64_t m = 0, n = 0;
  RowsIn x;
  RowsOut y;
};
using GeluArgs = MapArgs;
using CastArgs = MapArgs;

// y = a + b; b starts again after b_rows rows. y may be a or b.
struct AddArgs {
  int64_t m = 0, n = 0;
  RowsIn a, b;
  int64_t b_rows = 0;
  RowsOut y;
};

// x [batch][rows][cols] -> y [batch][cols][rows], dense.
struct TransposeArgs {
  int64_t batch = 1, rows = 0, cols = 0;
  const void* x = nullptr;
  void* y = nullptr;
  DType type = DType::kF32;  // of both
};

// y[b, s] = table[tokens[b, s]] + positions[pos[b] + s]. Ids outside the table
// and positions outside theirs are clamped: a wrong id must not read memory
// that is not ours.
struct EmbedArgs {
  int64_t batch = 1, tokens = 1, width = 0, vocab = 0, max_positions = 0;
  const int32_t* ids = nullptr;  // [batch][tokens]
  const void* table = nullptr;   // packed [vocab, width]
  DType table_type = DType::kF32;
  const float* positions = nullptr;  // [max_positions][width]
  const int32_t* pos = nullptr;      // [batch]
  RowsOut y;                         // batch * tokens rows
};

// y[b, r] = x[b, rows[b, r]]; rows outside [0, tokens) are clamped.
struct SelectRowsArgs {
  int64_t batch = 1, tokens = 1, count = 1, width = 0;
  RowsIn x;
  const int32_t* rows = nullptr;  // [batch][count]
  RowsOut y;                      // of x's type
};

// Writes rows (b, s) to position pos[b] + s of slot[b], in the packing of KV
// states. Rows whose position or slot is outside the state are dropped.
struct KvWriteArgs {
  int64_t batch = 1, tokens = 1, heads = 0, head_dim = 0;
  RowsIn rows;  // batch * tokens rows
  void* state = nullptr;
  DType state_type = DType::kF32;
  int64_t slot_stride = 0;  // elements between slots
  int64_t head_stride = 0;  // elements between heads
  int64_t slots = 1, positions = 0;
  ir::KvKind kind = ir::KvKind::kKey;
  const int32_t* pos = nullptr;   // [batch]
  const int32_t* slot = nullptr;  // [batch]
};

template <typename Args>
using KernelOf = void (*)(const Args&, const Context&);
// Scratch bytes for arguments of this shape and so many threads.
template <typename Args>
using ScratchOf = size_t (*)(const Args&, int threads);

using LinearFn = KernelOf<LinearArgs>;
using AttentionFn = KernelOf<AttentionArgs>;
using CachedAttentionFn = KernelOf<CachedAttentionArgs>;
using LinearScratchFn = ScratchOf<LinearArgs>;
using AttentionScratchFn = ScratchOf<AttentionArgs>;
using CachedAttentionScratchFn = ScratchOf<CachedAttentionArgs>;

}  // namespace sotto::cpu
