// SPDX-License-Identifier: MIT
// Differential: the bytes choose an op, a shape and types; every row of
// kernels.def that accepts must agree with the reference within what rounding
// explains, on one, two or three threads.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <limits>

#include "cpu/problems.h"

namespace {

using namespace sotto;
using namespace sotto::cpu;

// Reads numbers from the input; zeros where it has ended.
class Choices {
 public:
  Choices(const uint8_t* data, size_t size) : data_(data), size_(size) {}
  // In [low, high].
  int64_t Number(int64_t low, int64_t high) {
    const int64_t value = Byte() * 256 + Byte();
    return low + value % (high - low + 1);
  }
  bool Flag() { return Byte() % 2 != 0; }
  DType Half() { return Flag() ? DType::kBF16 : DType::kF32; }
  DType AnyFloat() { return Flag() ? DType::kF16 : Half(); }

 private:
  int64_t Byte() { return at_ < size_ ? data_[at_++] : 0; }
  const uint8_t* data_;
  size_t size_;
  size_t at_ = 0;
};

std::unique_ptr<Problem> ChooseLinear(Choices& in) {
  LinearCase c{
      .m = in.Number(1, 70), .n = in.Number(1, 90), .k = in.Number(1, 150)};
  c.x = in.Half();
  c.w = in.AnyFloat();
  c.y = in.Half();
  c.bias = in.Flag();
  c.act = in.Flag() ? ir::Activation::kGelu : ir::Activation::kNone;
  c.gap = in.Number(0, 17);
  c.seed = static_cast<uint32_t>(in.Number(1, 999));
  const auto residual = static_cast<ResidualKind>(in.Number(0, 3));
  // The residual is f32; only an f32 output can be it.
  if (residual != ResidualKind::kInPlace || c.y == DType::kF32)
    c.residual = residual;
  return MakeProblem(c);
}

std::unique_ptr<Problem> ChooseAttention(Choices& in) {
  AttentionCase c{.batch = in.Number(1, 2),
                  .t = in.Number(1, 170),
                  .heads = in.Number(1, 3),
                  .head_dim = in.Flag() ? 64 : 16 * in.Number(1, 8)};
  c.x = in.Half();
  c.y = in.Half();
  c.q_chunk = in.Number(0, 90);
  c.gap = in.Number(0, 9);
  c.seed = static_cast<uint32_t>(in.Number(1, 999));
  return MakeProblem(c);
}

std::unique_ptr<Problem> ChooseCached(Choices& in) {
  CachedCase c{.tokens = in.Number(1, 40), .heads = in.Number(1, 3)};
  c.head_dim = in.Flag() ? 64 : 16 * in.Number(1, 8);
  c.kv = in.Half();
  c.q = c.kv == DType::kBF16 ? in.Half() : DType::kF32;
  c.y = in.Half();
  c.causal = in.Flag();
  c.positions = in.Number(48, 300);
  c.extent = in.Number(42, c.positions);
  c.q_chunk = in.Number(0, 45);
  const int64_t batch = in.Number(1, 3);
  c.pos.clear();
  c.slot.clear();
  for (int64_t b = 0; b < batch; ++b) {
    c.pos.push_back(static_cast<int32_t>(in.Number(0, c.extent - c.tokens)));
    c.slot.push_back(static_cast<int32_t>(batch - 1 - b));
  }
  c.gap = in.Number(0, 9);
  c.poison = in.Flag() ? std::numeric_limits<float>::quiet_NaN() : 1e30f;
  c.seed = static_cast<uint32_t>(in.Number(1, 999));
  return MakeProblem(c);
}

std::unique_ptr<Problem> ChooseRows(Choices& in) {
  constexpr ir::Op kOps[] = {ir::Op::kLayerNorm,  ir::Op::kGelu,
                             ir::Op::kCast,       ir::Op::kAdd,
                             ir::Op::kTranspose,  ir::Op::kEmbed,
                             ir::Op::kSelectRows, ir::Op::kKvWrite};
  RowsCase c{.op = kOps[in.Number(0, 7)],
             .m = in.Number(1, 40),
             .n = in.Number(1, 200)};
  c.x = in.Half();
  c.y = in.Half();
  if (c.op == ir::Op::kEmbed) c.w = in.AnyFloat();
  if (c.op == ir::Op::kAdd || c.op == ir::Op::kKvWrite) c.w = in.Half();
  // bf16 states pack pairs of dimensions, over one head or three.
  if (c.op == ir::Op::kKvWrite) c.n = RoundUp(c.n, 6);
  c.gap = in.Number(0, 9);
  c.seed = static_cast<uint32_t>(in.Number(1, 999));
  return MakeProblem(c);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static ThreadPool one(1), two(2), three(3);
  ThreadPool* const pools[] = {&one, &two, &three};
  Choices in(data, size);
  ThreadPool& pool = *pools[in.Number(0, 2)];
  constexpr std::unique_ptr<Problem> (*kChoose[])(Choices&) = {
      ChooseLinear, ChooseAttention, ChooseCached, ChooseRows};
  const std::unique_ptr<Problem> problem = kChoose[in.Number(0, 3)](in);
  for (const char* level : {"amx", "avx512", "avx2"}) {
    const CpuFeatures features = LimitFeatures(HostFeatures(), level);
    for (const KernelRow& row : KernelRows()) {
      if (row.op != problem->op || row.is_reference() ||
          !WhyNot(row, problem->shape, features, false).empty())
        continue;
      const std::string wrong =
          CompareWithReference(*problem, row, features, pool);
      if (wrong.empty()) continue;
      std::fprintf(stderr, "%s\n", wrong.c_str());
      std::abort();
    }
  }
  return 0;
}
