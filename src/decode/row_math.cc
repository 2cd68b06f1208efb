// SPDX-License-Identifier: MIT
#include "decode/row_math.h"

#include <algorithm>
#include <array>
#include <limits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "decode/row_math.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace sotto {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// At most 16 lanes, so that 16 is a whole number of vectors on each target.
using FloatTag = hn::CappedTag<float, 16>;
constexpr size_t kLanes = 16;

// e^x for x <= 0, after Cephes' expf: x = n ln 2 + r, a polynomial for e^r,
// n added to the exponent. Plain products and sums only: a fused multiply-add
// rounds differently, and not every target has one.
template <class D, class V>
HWY_INLINE V Exp(D d, V x) {
  const hn::RebindToSigned<D> di;
  const V magic = hn::Set(d, 12582912.0f);  // 1.5 * 2^23 rounds to integers
  const V n = hn::Sub(
      hn::Add(hn::Mul(x, hn::Set(d, 1.44269504088896341f)), magic), magic);
  V r = hn::Sub(x, hn::Mul(n, hn::Set(d, 0.693359375f)));
  r = hn::Sub(r, hn::Mul(n, hn::Set(d, -2.12194440e-4f)));
  V p = hn::Set(d, 1.9875691500e-4f);
  p = hn::Add(hn::Mul(p, r), hn::Set(d, 1.3981999507e-3f));
  p = hn::Add(hn::Mul(p, r), hn::Set(d, 8.3334519073e-3f));
  p = hn::Add(hn::Mul(p, r), hn::Set(d, 4.1665795894e-2f));
  p = hn::Add(hn::Mul(p, r), hn::Set(d, 1.6666665459e-1f));
  p = hn::Add(hn::Mul(p, r), hn::Set(d, 5.0000001201e-1f));
  p = hn::Add(hn::Add(hn::Mul(hn::Mul(p, r), r), r), hn::Set(d, 1.0f));
  const auto exponent = hn::ShiftLeft<23>(hn::ConvertTo(di, n));
  const V scaled = hn::BitCast(d, hn::Add(hn::BitCast(di, p), exponent));
  // NaN compares false and stays what it is.
  return hn::IfThenZeroElse(hn::Lt(x, hn::Set(d, -87.0f)),
                            hn::IfThenElse(hn::IsNaN(x), x, scaled));
}

// Terms of kLanes elements from `row` on, one sub-vector of them.
template <class D>
HWY_INLINE hn::Vec<D> Terms(D d, const float* row, float shift, float scale) {
  const auto x = hn::Sub(hn::LoadU(d, row), hn::Set(d, shift));
  return Exp(d, hn::Mul(x, hn::Set(d, scale)));
}

double SumBlock(const float* row, size_t groups, float shift, float scale) {
  const FloatTag d;
  const size_t n = hn::Lanes(d);
  HWY_ALIGN float lanes[kLanes];
  for (size_t j = 0; j < kLanes; j += n) {
    auto sum = hn::Zero(d);
    for (size_t g = 0; g < groups; ++g)
      sum = hn::Add(sum, Terms(d, row + g * kLanes + j, shift, scale));
    hn::Store(sum, d, lanes + j);
  }
  double total = 0;
  for (const float lane : lanes) total += static_cast<double>(lane);
  return total;
}

double SumExpOf(const float* row, size_t size, float shift, float scale) {
  double total = 0;
  const size_t whole = size / kLanes;
  constexpr size_t kGroups = kSumBlock / kLanes;
  for (size_t g = 0; g < whole; g += kGroups)
    total +=
        SumBlock(row + g * kLanes, std::min(kGroups, whole - g), shift, scale);
  if (const size_t rest = size % kLanes) {
    float tail[kLanes];
    std::fill(tail, tail + kLanes, -std::numeric_limits<float>::infinity());
    std::copy(row + size - rest, row + size, tail);
    total += SumBlock(tail, 1, shift, scale);
  }
  return total;
}

void ExpTermsOf(const float* row, size_t size, float shift, float scale,
                float* out) {
  const FloatTag d;
  const size_t n = hn::Lanes(d);
  size_t i = 0;
  for (; i + n <= size; i += n)
    hn::StoreU(Terms(d, row + i, shift, scale), d, out + i);
  if (i == size) return;
  float tail[kLanes] = {};
  std::copy(row + i, row + size, tail);
  hn::StoreU(Terms(d, tail, shift, scale), d, tail);
  std::copy(tail, tail + (size - i), out + i);
}

float MaxOfBlock(const float* row, size_t size) {
  const FloatTag d;
  const size_t n = hn::Lanes(d);
  float best = -std::numeric_limits<float>::infinity();
  size_t i = 0;
  if (size >= 4 * n) {
    auto a = hn::LoadU(d, row), b = hn::LoadU(d, row + n);
    auto c = hn::LoadU(d, row + 2 * n), e = hn::LoadU(d, row + 3 * n);
    for (i = 4 * n; i + 4 * n <= size; i += 4 * n) {
      a = hn::Max(a, hn::LoadU(d, row + i));
      b = hn::Max(b, hn::LoadU(d, row + i + n));
      c = hn::Max(c, hn::LoadU(d, row + i + 2 * n));
      e = hn::Max(e, hn::LoadU(d, row + i + 3 * n));
    }
    best =
        hn::GetLane(hn::MaxOfLanes(d, hn::Max(hn::Max(a, b), hn::Max(c, e))));
  }
  for (; i < size; ++i) best = std::max(best, row[i]);
  return best;
}

}  // namespace HWY_NAMESPACE
}  // namespace sotto
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sotto {

HWY_EXPORT(SumExpOf);
HWY_EXPORT(ExpTermsOf);
HWY_EXPORT(MaxOfBlock);

RowMax MaxOf(std::span<const float> row) {
  const auto max_of_block = HWY_DYNAMIC_DISPATCH(MaxOfBlock);
  RowMax best{0, -std::numeric_limits<float>::infinity()};
  size_t best_block = 0;
  for (size_t at = 0; at < row.size(); at += kRowBlock) {
    const float value =
        max_of_block(row.data() + at, std::min(kRowBlock, row.size() - at));
    if (value > best.value) {
      best.value = value;
      best_block = at;
    }
  }
  const auto found =
      std::find(row.begin() + static_cast<std::ptrdiff_t>(best_block),
                row.end(), best.value);
  if (found != row.end()) best.index = static_cast<size_t>(found - row.begin());
  return best;
}

double SumExp(std::span<const float> row, float shift, float scale) {
  return HWY_DYNAMIC_DISPATCH(SumExpOf)(row.data(), row.size(), shift, scale);
}

void ExpTerms(std::span<const float> row, float shift, float scale,
              std::span<float> out) {
  HWY_DYNAMIC_DISPATCH(ExpTermsOf)
  (row.data(), row.size(), shift, scale, out.data());
}

}  // namespace sotto
#endif  // HWY_ONCE
