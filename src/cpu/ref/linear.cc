// SPDX-License-Identifier: MIT
// The meaning of Linear and Conv1d. Products and sums in double, so that the
// result is the exact one rounded once; order plays no part.
#include <algorithm>
#include <array>
#include <cmath>

#include "cpu/ref/access.h"
#include "cpu/ref/ref.h"

namespace sotto::cpu {
namespace {

// What follows a dot product, for one element.
struct Epilogue {
  const float* bias;
  const float* residual;
  int64_t residual_stride, residual_rows;
  ir::Activation act;

  double operator()(double sum, int64_t row, int64_t n) const {
    if (bias != nullptr) sum += static_cast<double>(bias[n]);
    if (act == ir::Activation::kGelu) sum = GeluExact(sum);
    if (residual != nullptr)
      sum += static_cast<double>(
          residual[row % residual_rows * residual_stride + n]);
    return sum;
  }
};

using PanelSums = std::array<double, kPanel>;

// sums[j] += sum_i x[i] w[16 * panel + j, first_k + i].
template <typename W>
void AddPanel(const void* x, DType x_type, int64_t x_at, const void* w,
              DType w_type, int64_t padded_k, int64_t panel, int64_t first_k,
              int64_t count, PanelSums& sums) {
  const W* packed = static_cast<const W*>(w);
  for (int64_t i = 0; i < count; ++i) {
    const double value = static_cast<double>(LoadElement(x, x_type, x_at + i));
    for (int64_t j = 0; j < kPanel; ++j) {
      const int64_t at =
          PackedIndex(w_type, padded_k, panel * kPanel + j, first_k + i);
      sums[static_cast<size_t>(j)] +=
          value * static_cast<double>(ToFloat(packed[at]));
    }
  }
}

using AddPanelFn = decltype(&AddPanel<float>);
AddPanelFn ChoosePanel(DType w) {
  if (w == DType::kF32) return &AddPanel<float>;
  return w == DType::kF16 ? &AddPanel<F16> : &AddPanel<BF16>;
}

}  // namespace

double GeluExact(double x) {
  return 0.5 * x * (1 + std::erf(x * std::sqrt(0.5)));
}

void LinearRef(const LinearArgs& a, const Context& context) {
  const int64_t panels = RoundUp(a.n, kPanel) / kPanel;
  const int64_t padded_k = PaddedK(a.w_type, a.k);
  const AddPanelFn add = ChoosePanel(a.w_type);
  const Epilogue finish{a.bias, a.residual, a.residual_stride, a.residual_rows,
                        a.act};
  context.pool->ParallelFor(panels, [&](int64_t panel, int) {
    for (int64_t m = 0; m < a.m; ++m) {
      PanelSums sums{};
      add(a.x, a.x_type, m * a.x_stride, a.w, a.w_type, padded_k, panel, 0, a.k,
          sums);
      for (int64_t j = 0; j < std::min(kPanel, a.n - panel * kPanel); ++j) {
        const int64_t n = panel * kPanel + j;
        StoreElement(
            a.y, a.y_type, m * a.y_stride + n,
            static_cast<float>(finish(sums[static_cast<size_t>(j)], m, n)));
      }
    }
  });
}

void Conv1dRef(const Conv1dArgs& a, const Context& context) {
  const int64_t panels = RoundUp(a.n, kPanel) / kPanel;
  const int64_t out_t = (a.t - 1) / a.stride + 1;
  const int64_t padded_k = PaddedK(a.w_type, 3 * a.channels);
  const AddPanelFn add = ChoosePanel(a.w_type);
  const Epilogue finish{a.bias, a.residual, a.residual_stride, a.residual_rows,
                        a.act};
  context.pool->ParallelFor(panels, [&](int64_t panel, int) {
    for (int64_t row = 0; row < a.batch * out_t; ++row) {
      PanelSums sums{};
      for (int64_t tap = 0; tap < 3; ++tap) {
        const int64_t time = row % out_t * a.stride + tap - 1;
        if (time < 0 || time >= a.t) continue;
        add(a.x, a.x_type, (row / out_t * a.t + time) * a.x_stride, a.w,
            a.w_type, padded_k, panel, tap * a.channels, a.channels, sums);
      }
      for (int64_t j = 0; j < std::min(kPanel, a.n - panel * kPanel); ++j) {
        const int64_t n = panel * kPanel + j;
        StoreElement(
            a.y, a.y_type, row * a.y_stride + n,
            static_cast<float>(finish(sums[static_cast<size_t>(j)], row, n)));
      }
    }
  });
}

}  // namespace sotto::cpu
