// SPDX-License-Identifier: MIT
#include "cpu/x86/attention.h"

#include <gtest/gtest.h>

#include "cpu/x86/attention_tiles.h"
#include "cpu/x86/dot_pairs.h"
#include "cpu/x86/test_problems.h"
#include "cpu/x86/x86.h"

namespace sotto::cpu::x86 {
namespace {

struct Kernel {
  const char* name;
  AttentionFn run;
  AttentionScratchFn scratch;
};
using Emulated = TilesOrder<EmulatedTiles>;
const Kernel kKernels[] = {
    {"avx512_bf16", &AttentionAvx512Bf16, &AttentionAvx512Bf16Scratch},
    {"amx_bf16 emulated", &RunAttention<Emulated>, &AttentionScratch<Emulated>},
};
const Kernel kHardware = {"amx_bf16", &AttentionAmxBf16,
                          &AttentionAmxBf16Scratch};

struct Case {
  int64_t batch, t, heads;
  DType x_type = DType::kBF16, y_type = DType::kF32;
  float spread = 1;  // of q and k: large ones make sharp peaks
  int64_t q_chunk = 0;
};

class Problem {
 public:
  explicit Problem(const Case& c, uint32_t seed = 1)
      : c_(c),
        width_(c.heads * kHeadDim),
        f32_(static_cast<size_t>(c.batch * c.t * 3 * width_)),
        bf16_(f32_.size()) {
    Random random(seed);
    for (size_t i = 0; i < f32_.size(); ++i) {
      const bool value = static_cast<int64_t>(i) % (3 * width_) >= 2 * width_;
      f32_[i] = random.Normal(value ? 1 : c.spread);
      bf16_[i] = ToBF16(f32_[i]);
    }
  }

  std::vector<uint8_t> Run(const Kernel& kernel, int threads = 2) const {
    AttentionArgs a;
    a.batch = c_.batch;
    a.t = c_.t;
    a.heads = c_.heads;
    a.head_dim = kHeadDim;
    a.x_type = c_.x_type;
    a.q = At(0);
    a.k = At(width_);
    a.v = At(2 * width_);
    a.q_stride = a.k_stride = a.v_stride = 3 * width_;
    a.scale = kScale;
    a.q_chunk = c_.q_chunk;
    Guarded<uint8_t> y(static_cast<size_t>(c_.batch * c_.t * width_) *
                       SizeOf(c_.y_type));
    std::memset(y.data(), 0x7f, y.size());
    a.y = y.data();
    a.y_stride = width_;
    a.y_type = c_.y_type;
    ThreadPool pool(threads);
    const Buffer scratch(kernel.scratch(a, threads));
    std::memset(scratch.data(), 0xff, scratch.size());  // NaN
    kernel.run(a, {.pool = &pool, .scratch = scratch.data()});
    return {y.data(), y.data() + y.size()};
  }

  // Worst error relative to its bound, over every `step`-th row.
  double WorstError(std::span<const uint8_t> y, int64_t step = 1) const {
    double worst = 0;
    for (int64_t row = 0; row < c_.batch * c_.t; row += step)
      for (int64_t head = 0; head < c_.heads; ++head)
        worst = std::max(worst, RowError(y, row, head));
    return worst;
  }

 private:
  static constexpr float kScale = 0.125f;

  const void* At(int64_t column) const {
    if (c_.x_type == DType::kBF16) return bf16_.data() + column;
    return f32_.data() + column;
  }
  double Value(int64_t row, int64_t column) const {
    return static_cast<double>(
        ToFloat(bf16_[static_cast<size_t>(row * 3 * width_ + column)]));
  }

  // A probability is rounded to bf16 (2^-8) after an exponential whose
  // argument carries the error of a f32 score; weights of rounded ones add up
  // to one, so that an error e of each moves the result by at most
  // e sum p |v - result| / sum p. Then come the roundings of the sums.
  double RowError(std::span<const uint8_t> y, int64_t row, int64_t head) const {
    const int64_t first = row / c_.t * c_.t, at = head * kHeadDim;
    std::vector<double> p(static_cast<size_t>(c_.t));
    double top = -1e300, score_error = 0;
    for (int64_t j = 0; j < c_.t; ++j) {
      double sum = 0, size = 0;
      for (int64_t d = 0; d < kHeadDim; ++d) {
        const double product =
            Value(row, at + d) * Value(first + j, width_ + at + d);
        sum += product;
        size += std::abs(product);
      }
      p[static_cast<size_t>(j)] = sum * static_cast<double>(kScale);
      top = std::max(top, p[static_cast<size_t>(j)]);
      score_error = std::max(score_error, (kHeadDim + 4) * kUnit * size *
                                              static_cast<double>(kScale));
    }
    double sum = 0;
    for (double& value : p) sum += value = std::exp(value - top);
    double worst = 0;
    for (int64_t d = 0; d < kHeadDim; ++d) {
      double out = 0, size = 0;
      for (int64_t j = 0; j < c_.t; ++j) {
        const double v = Value(first + j, 2 * width_ + at + d);
        out += p[static_cast<size_t>(j)] * v;
        size += p[static_cast<size_t>(j)] * std::abs(v);
      }
      out /= sum;
      double apart = 0;
      for (int64_t j = 0; j < c_.t; ++j)
        apart += p[static_cast<size_t>(j)] *
                 std::abs(Value(first + j, 2 * width_ + at + d) - out);
      double bound = (0x1p-8 + 2 * score_error + 1e-6) * apart / sum +
                     static_cast<double>(c_.t + 4) * kUnit * size / sum;
      if (c_.y_type == DType::kBF16) bound += 0x1p-8 * std::abs(out);
      worst = std::max(worst,
                       std::abs(Read(y, row * width_ + at + d) - out) / bound);
    }
    return worst;
  }

  double Read(std::span<const uint8_t> y, int64_t i) const {
    if (c_.y_type == DType::kF32) {
      float value;
      std::memcpy(&value, &y[static_cast<size_t>(4 * i)], 4);
      return static_cast<double>(value);
    }
    BF16 value;
    std::memcpy(&value, &y[static_cast<size_t>(2 * i)], 2);
    return static_cast<double>(ToFloat(value));
  }

  Case c_;
  int64_t width_;
  Guarded<float> f32_;
  Guarded<BF16> bf16_;
};

std::string Describe(const Case& c, const Kernel& kernel) {
  return fmt::format("{} batch={} t={} heads={} x={} y={} spread={}",
                     kernel.name, c.batch, c.t, c.heads, Name(c.x_type),
                     Name(c.y_type), c.spread);
}

TEST(AttentionX86, MatchesDouble) {
  SKIP_WITHOUT_BF16();
  for (const Case& c :
       {Case{1, 1, 2}, Case{2, 2, 1, DType::kF32}, Case{1, 17, 3},
        Case{1, 127, 1, DType::kBF16, DType::kBF16, 4},
        Case{2, 128, 2, DType::kF32, DType::kF32, 3}, Case{1, 129, 1},
        Case{1, 300, 2, DType::kBF16, DType::kF32, 6, 40}}) {
    const Problem problem(c);
    for (const Kernel& kernel : kKernels)
      EXPECT_LE(problem.WorstError(problem.Run(kernel)), 1)
          << Describe(c, kernel);
  }
}

TEST(AttentionX86, MatchesDoubleOnAWindow) {
  SKIP_WITHOUT_BF16();
  const Case c{.batch = 1, .t = 1500, .heads = 2, .spread = 2};
  const Problem problem(c);
  for (const Kernel& kernel : kKernels)
    EXPECT_LE(problem.WorstError(problem.Run(kernel), 37), 1)
        << Describe(c, kernel);
}

TEST(AttentionX86, ThreadsAndChunksChangeNoBit) {
  SKIP_WITHOUT_BF16();
  for (const Kernel& kernel : kKernels) {
    Case c{2, 150, 3};
    const auto one = Problem(c).Run(kernel, 1);
    EXPECT_EQ(Problem(c).Run(kernel, 3), one) << kernel.name;
    c.q_chunk = 7;
    EXPECT_EQ(Problem(c).Run(kernel, 2), one) << kernel.name;
  }
}

TEST(AttentionX86, HardwareTilesAgreeWithEmulation) {
  SKIP_WITHOUT_BF16();
  const TileTrap trap;
  for (const Case& c : {Case{1, 1, 1}, Case{1, 45, 2}, Case{1, 200, 1}}) {
    const Problem problem(c);
    EXPECT_EQ(problem.Run(kHardware), problem.Run(kKernels[1]))
        << Describe(c, kHardware);
  }
}

}  // namespace
}  // namespace sotto::cpu::x86
