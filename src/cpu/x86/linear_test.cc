// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>

#include "cpu/x86/linear_tiles.h"
#include "cpu/x86/test_problems.h"
#include "cpu/x86/x86.h"

namespace sotto::cpu::x86 {
namespace {

struct Kernel {
  const char* name;
  LinearFn run;
  LinearScratchFn scratch;
  Order order;
};

const Kernel kKernels[] = {
    {"avx512_bf16", &LinearAvx512Bf16, &LinearAvx512Bf16Scratch, Order::kPairs},
    {"avx512_row_bf16", &LinearAvx512RowBf16, &LinearAvx512RowBf16Scratch,
     Order::kPairs},
    {"amx_bf16 emulated", &RunLinearTiles<EmulatedTiles>, &LinearTilesScratch,
     Order::kTile},
    {"amx_row_bf16", &LinearAmxRowBf16, &LinearAmxRowBf16Scratch, Order::kTile},
};
const Kernel kHardware = {"amx_bf16", &LinearAmxBf16, &LinearAmxBf16Scratch,
                          Order::kTile};

struct Case {
  int64_t m, n, k;
  DType x_type = DType::kBF16;
  DType y_type = DType::kF32;
  bool bias = true, gelu = false, residual = false;
  int64_t residual_rows = 0;  // 0: m
  int64_t x_gap = 0;          // elements between rows of x, may be negative
};

std::string Describe(const Case& c, const Kernel& kernel) {
  return fmt::format("{} m={} n={} k={} x={} y={} gelu={} residual={}",
                     kernel.name, c.m, c.n, c.k, Name(c.x_type), Name(c.y_type),
                     c.gelu, c.residual);
}

// Operands in memory that ends where they end.
class Problem {
 public:
  explicit Problem(const Case& c, uint32_t seed = 1)
      : c_(c),
        stride_(c.k + c.x_gap),
        x_bf16_(static_cast<size_t>((c.m - 1) * stride_ + c.k)),
        x_f32_(x_bf16_.size()),
        w_(static_cast<size_t>(PackedElements(DType::kBF16, c.n, c.k))),
        plain_w_(static_cast<size_t>(c.n * c.k)),
        bias_(static_cast<size_t>(c.n)),
        residual_(static_cast<size_t>(ResidualRows() * c.n)) {
    Random random(seed);
    random.Fill(x_f32_);
    for (size_t i = 0; i < x_f32_.size(); ++i) x_bf16_[i] = ToBF16(x_f32_[i]);
    random.Fill(plain_w_, 1.0f / std::sqrt(static_cast<float>(c.k)));
    const int64_t padded = PaddedK(DType::kBF16, c.k);
    for (int64_t n = 0; n < c.n; ++n)
      for (int64_t k = 0; k < c.k; ++k)
        w_[static_cast<size_t>(PackedIndex(DType::kBF16, padded, n, k))] =
            plain_w_[static_cast<size_t>(n * c.k + k)];
    random.Fill(bias_);
    random.Fill(residual_);
  }

  // The result's bytes, rows [first, first + count) alone where asked.
  std::vector<uint8_t> Run(const Kernel& kernel, int threads = 2,
                           int64_t first = 0, int64_t count = 0) {
    const auto size = static_cast<size_t>((count > 0 ? count : c_.m) * c_.n);
    const size_t element = SizeOf(c_.y_type);
    Guarded<uint8_t> y(size * element);
    std::memset(y.data(), 0x7f, y.size());
    LinearArgs args = Arguments(y.data(), first, count);
    Call(kernel, args, threads);
    return {y.data(), y.data() + y.size()};
  }

  // y = residual: sums are added to what stands there.
  std::vector<float> RunInPlace(const Kernel& kernel) {
    Guarded<float> y(static_cast<size_t>(c_.m * c_.n));
    std::copy_n(residual_.data(), y.size(), y.data());
    LinearArgs args = Arguments(y.data(), 0, 0);
    args.residual = y.data();
    Call(kernel, args, 2);
    return {y.data(), y.data() + y.size()};
  }

  // Worst |y - exact| / bound; the bound follows from f32 sums of k products.
  double WorstError(std::span<const uint8_t> y) const {
    double worst = 0;
    for (int64_t i = 0; i < c_.m * c_.n; ++i) {
      const Exact exact = At(i / c_.n, i % c_.n);
      worst = std::max(worst, std::abs(Read(y, i) - exact.value) / exact.bound);
    }
    return worst;
  }

 private:
  struct Exact {
    double value, bound;
  };

  int64_t ResidualRows() const {
    return c_.residual_rows > 0 ? c_.residual_rows : c_.m;
  }

  LinearArgs Arguments(void* y, int64_t first, int64_t count) {
    LinearArgs a;
    a.m = count > 0 ? count : c_.m;
    a.n = c_.n;
    a.k = c_.k;
    a.x_type = c_.x_type;
    a.x = c_.x_type == DType::kBF16
              ? static_cast<const void*>(x_bf16_.data() + first * stride_)
              : x_f32_.data() + first * stride_;
    a.x_stride = stride_;
    a.w = w_.data();
    a.w_type = DType::kBF16;
    a.bias = c_.bias ? bias_.data() : nullptr;
    a.act = c_.gelu ? ir::Activation::kGelu : ir::Activation::kNone;
    a.residual = c_.residual ? residual_.data() + first * c_.n : nullptr;
    a.residual_stride = c_.n;
    a.residual_rows = ResidualRows();
    a.y = y;
    a.y_stride = c_.n;
    a.y_type = c_.y_type;
    return a;
  }

  static void Call(const Kernel& kernel, const LinearArgs& args, int threads) {
    ThreadPool pool(threads);
    const Buffer scratch(kernel.scratch(args, threads) + 64);
    std::memset(scratch.data(), 0xff, scratch.size());  // NaN
    kernel.run(args, {.pool = &pool, .scratch = scratch.data()});
  }

  Exact At(int64_t row, int64_t n) const {
    double sum = 0, size = 0;
    for (int64_t k = 0; k < c_.k; ++k) {
      const double product =
          static_cast<double>(
              ToFloat(x_bf16_[static_cast<size_t>(row * stride_ + k)])) *
          static_cast<double>(
              ToFloat(plain_w_[static_cast<size_t>(n * c_.k + k)]));
      sum += product;
      size += std::abs(product);
    }
    double bound = static_cast<double>(c_.k + 4) * kUnit * size + 1e-30;
    if (c_.bias) sum += static_cast<double>(bias_[static_cast<size_t>(n)]);
    if (c_.gelu) {  // its slope is at most 1.13
      sum = 0.5 * sum * std::erfc(-sum * std::sqrt(0.5));
      bound = 1.13 * bound + 1e-6 * std::abs(sum);
    }
    bound += kUnit * std::abs(sum);
    if (c_.residual)
      sum += static_cast<double>(
          residual_[static_cast<size_t>(row % ResidualRows() * c_.n + n)]);
    bound += 2 * kUnit * std::abs(sum);
    if (c_.y_type == DType::kBF16) bound += 0x1p-8 * std::abs(sum) + 1e-37;
    return {sum, bound};
  }

  double Read(std::span<const uint8_t> y, int64_t i) const {
    if (c_.y_type == DType::kBF16) {
      BF16 value;
      std::memcpy(&value, &y[static_cast<size_t>(2 * i)], 2);
      return static_cast<double>(ToFloat(value));
    }
    float value;
    std::memcpy(&value, &y[static_cast<size_t>(4 * i)], 4);
    return static_cast<double>(value);
  }

  Case c_;
  int64_t stride_;
  Guarded<BF16> x_bf16_;
  Guarded<float> x_f32_;
  Guarded<BF16> w_;
  std::vector<BF16> plain_w_;
  Guarded<float> bias_, residual_;
};

const std::vector<Case>& OddCases() {
  static const std::vector<Case> cases = [] {
    std::vector<Case> list;
    for (const int64_t m : {1, 3, 15, 16, 17, 31, 33, 100}) {
      list.push_back({m, 16, 32});
      list.push_back({.m = m, .n = 32, .k = 240, .gelu = true, .x_gap = 3});
      list.push_back({.m = m,
                      .n = 48,
                      .k = 384,
                      .y_type = DType::kBF16,
                      .residual = true});
      list.push_back(
          {.m = m, .n = 1000, .k = 96, .x_type = DType::kF32, .bias = false});
      list.push_back({.m = m,
                      .n = 384,
                      .k = 31,
                      .y_type = DType::kBF16,
                      .gelu = true,
                      .residual = true,
                      .residual_rows = 5});
    }
    list.push_back({.m = 33, .n = 80, .k = 2048, .residual = true});
    list.push_back(
        {.m = 70, .n = 48, .k = 1056, .x_gap = -700});  // overlapping rows
    list.push_back({.m = 17, .n = 20, .k = 544, .x_type = DType::kF32});
    list.push_back({.m = 300, .n = 100, .k = 64, .gelu = true});
    return list;
  }();
  return cases;
}

TEST(LinearX86, MatchesDoubleOnOddShapes) {
  SKIP_WITHOUT_BF16();
  for (const Case& c : OddCases()) {
    Problem problem(c);
    for (const Kernel& kernel : kKernels)
      EXPECT_LE(problem.WorstError(problem.Run(kernel)), 1)
          << Describe(c, kernel);
  }
}

TEST(LinearX86, RowsAndTilesAgreeInEveryBit) {
  SKIP_WITHOUT_BF16();
  for (const int64_t k : {240, 511, 1088}) {
    for (int64_t m = 1; m <= 40; m += m < 18 ? 1 : 5) {
      const Case c{.m = m, .n = 72, .k = k, .gelu = true, .residual = true};
      Problem problem(c, static_cast<uint32_t>(m));
      for (const Order order : {Order::kPairs, Order::kTile}) {
        std::vector<std::vector<uint8_t>> results;
        for (const Kernel& kernel : kKernels) {
          if (kernel.order != order) continue;
          results.push_back(problem.Run(kernel));
          std::vector<uint8_t> row_by_row;
          for (int64_t row = 0; row < m; ++row) {
            const auto one = problem.Run(kernel, 1, row, 1);
            row_by_row.insert(row_by_row.end(), one.begin(), one.end());
          }
          results.push_back(row_by_row);
        }
        for (const auto& result : results)
          EXPECT_EQ(result, results.front())
              << "order " << static_cast<int>(order) << " m=" << m
              << " k=" << k;
      }
    }
  }
}

TEST(LinearX86, ThreadsChangeNoBit) {
  SKIP_WITHOUT_BF16();
  const Case c{.m = 200, .n = 144, .k = 320, .gelu = true};
  Problem problem(c);
  for (const Kernel& kernel : kKernels) {
    const auto one = problem.Run(kernel, 1);
    EXPECT_EQ(problem.Run(kernel, 2), one) << kernel.name;
    EXPECT_EQ(problem.Run(kernel, 3), one) << kernel.name;
  }
}

TEST(LinearX86, ResidualMayBeTheResult) {
  SKIP_WITHOUT_BF16();
  const Case c{.m = 45, .n = 72, .k = 128, .residual = true};
  Problem problem(c);
  for (const Kernel& kernel : kKernels) {
    const std::vector<float> in_place = problem.RunInPlace(kernel);
    const std::vector<uint8_t> apart = problem.Run(kernel);
    EXPECT_EQ(std::memcmp(in_place.data(), apart.data(), apart.size()), 0)
        << kernel.name;
  }
}

// The compiled kernel itself, on the machine's tiles or with each of its tile
// instructions emulated.
TEST(LinearX86, HardwareTilesAgreeWithEmulation) {
  SKIP_WITHOUT_BF16();
  const TileTrap trap;
  for (const Case& c :
       {Case{1, 16, 32}, Case{.m = 5, .n = 48, .k = 64, .gelu = true},
        Case{16, 32, 240},
        Case{.m = 33,
        .n = 80,
        .k = 96,
        .y_type = DType::kBF16,
        .residual = true},
        Case{64, 40, 544},
        Case{.m = 17, .n = 32, .k = 1056, .x_type = DType::kF32}}) {
    Problem problem(c);
    EXPECT_EQ(problem.Run(kHardware), problem.Run(kKernels[2]))
        << Describe(c, kHardware);
  }
}

}  // namespace
}  // namespace sotto::cpu::x86
