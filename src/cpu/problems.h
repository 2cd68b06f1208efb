// SPDX-License-Identifier: MIT
// Random calls of kernels, with the error that a right kernel may make. The
// tests, the fuzzer and the benchmarks are made of these; the library is not.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "cpu/select.h"
#include "tensor/buffer.h"

namespace sotto::cpu {

// Rows of an output with gaps between them, poisoned before every run.
struct OutputRows {
  DType type = DType::kF32;
  int64_t rows = 0, width = 0, stride = 0;
  Buffer memory;

  static OutputRows Make(DType type, int64_t rows, int64_t width,
                         int64_t stride);
  void Poison();
  // Whether the bytes between rows still hold the poison.
  bool GapsHold() const;
  std::vector<float> Values() const;
};

// One call: inputs, an output, and what its errors are measured by.
class Problem {
 public:
  virtual ~Problem() = default;
  // Runs a row's kernel into the (poisoned) output.
  virtual void Run(const KernelRow& row, const CpuFeatures& features,
                   ThreadPool& pool) = 0;
  // Largest error per output element that rounding explains, for a kernel that
  // sums in this order; computed from norms, not tuned.
  virtual std::vector<float> Bounds(Order order) = 0;

  ir::Op op = ir::Op::kLinear;
  KernelShape shape;
  std::string text;  // "linear m=3 n=17 k=45 f32,bf16->f32 gelu"
  OutputRows y;
  double flops = 0, bytes = 0;  // for benchmarks
};

enum class ResidualKind { kNone, kOther, kRepeated, kInPlace };

struct LinearCase {
  int64_t m = 1, n = 16, k = 16;
  DType x = DType::kF32, w = DType::kF32, y = DType::kF32;
  bool bias = true;
  ResidualKind residual = ResidualKind::kNone;
  ir::Activation act = ir::Activation::kNone;
  int64_t gap = 0;  // elements between rows of x and y
  uint32_t seed = 1;
};
std::unique_ptr<Problem> MakeProblem(const LinearCase& c);

struct AttentionCase {
  int64_t batch = 1, t = 16, heads = 2, head_dim = 64;
  DType x = DType::kF32, y = DType::kF32;
  int64_t q_chunk = 0;
  int64_t gap = 0;
  uint32_t seed = 1;
};
std::unique_ptr<Problem> MakeProblem(const AttentionCase& c);

struct CachedCase {
  int64_t tokens = 1, heads = 2, head_dim = 64, positions = 448;
  std::vector<int32_t> pos = {0};   // one a batch row
  std::vector<int32_t> slot = {0};  // distinct
  DType q = DType::kF32, kv = DType::kF32, y = DType::kF32;
  bool causal = true;
  int64_t extent = 448;
  int64_t q_chunk = 0;
  int64_t gap = 0;
  // What stands in positions that no row may see.
  float poison = 0;
  uint32_t seed = 1;
};
std::unique_ptr<Problem> MakeProblem(const CachedCase& c);

// LayerNorm, Gelu, Cast, Add, Transpose, Embed, SelectRows, KvWrite.
struct RowsCase {
  ir::Op op = ir::Op::kGelu;
  int64_t m = 1, n = 16;
  DType x = DType::kF32, w = DType::kF32, y = DType::kF32;
  int64_t gap = 0;
  uint32_t seed = 1;
};
std::unique_ptr<Problem> MakeProblem(const RowsCase& c);

// The reference row of an op, and its output for a problem.
const KernelRow& ReferenceRow(ir::Op op);

// Runs `row` and compares with the reference; empty where all is well, else
// the worst element: "linear m=3 ...: row simd_tile at [2,5]: 1.25, want 1.5
// within 1e-6".
std::string CompareWithReference(Problem& problem, const KernelRow& row,
                                 const CpuFeatures& features, ThreadPool& pool);

}  // namespace sotto::cpu
