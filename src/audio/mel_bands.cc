// SPDX-License-Identifier: MIT
#include "audio/mel_bands.h"

#include <algorithm>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "audio/mel_bands.cc"
#include <hwy/foreach_target.h>
// After foreach_target.h, as Highway wants it.
#include <hwy/contrib/math/math-inl.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace sotto::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// One band of all frames of a batch: logs[lane] = log10(sum_k w_k power_k).
void LogBand(const float* HWY_RESTRICT power, const float* HWY_RESTRICT weights,
             size_t count, float* HWY_RESTRICT logs) {
  const hn::CappedTag<float, kBandBatch> d;
  const auto least = hn::Set(d, 1e-10f);
  for (size_t lane = 0; lane < kBandBatch; lane += hn::Lanes(d)) {
    auto sum = hn::Zero(d);
    for (size_t k = 0; k < count; ++k)
      sum = hn::Add(sum, hn::Mul(hn::Set(d, weights[k]),
                                 hn::LoadU(d, power + k * kBandBatch + lane)));
    // Silence is exactly kSilenceLog, whatever the last bit of Log10.
    const auto log = hn::Log10(d, hn::Max(sum, least));
    hn::StoreU(hn::IfThenElse(hn::Gt(sum, least),
                              hn::Max(log, hn::Set(d, kSilenceLog)),
                              hn::Set(d, kSilenceLog)),
               d, logs + lane);
  }
}

}  // namespace sotto::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sotto {

HWY_EXPORT(LogBand);

MelBands::MelBands(int n_mels) {
  const std::vector<float> filters = MelFilters(n_mels);
  for (int m = 0; m < n_mels; ++m) {
    const auto row = std::span(filters).subspan(
        static_cast<size_t>(m) * kSpectrum, kSpectrum);
    uint32_t first = 0;
    uint32_t end = kSpectrum;
    while (first < end && row[first] == 0) ++first;
    while (end > first && row[end - 1] == 0) --end;
    bands_.push_back(
        {first, static_cast<uint32_t>(weights_.size()), end - first});
    weights_.insert(weights_.end(), row.begin() + first, row.begin() + end);
  }
}

float MelBands::Log(const PowerBatch& power, size_t frames,
                    std::span<float> out) const {
  float maximum = kSilenceLog;
  std::array<float, kBandBatch> logs;
  for (size_t m = 0; m < bands_.size(); ++m) {
    const Band& band = bands_[m];
    HWY_DYNAMIC_DISPATCH(LogBand)
    (power[band.first].data(), weights_.data() + band.begin, band.count,
     logs.data());
    for (size_t f = 0; f < frames; ++f) {
      out[f * bands_.size() + m] = logs[f];
      maximum = std::max(maximum, logs[f]);
    }
  }
  return maximum;
}

}  // namespace sotto
#endif  // HWY_ONCE
