// SPDX-License-Identifier: MIT
#include "decode/sample.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "base/error.h"

namespace sotto {
namespace {

constexpr size_t kMaxBlocks = 256;

uint64_t SplitMix64(uint64_t* state) {
  uint64_t z = (*state += 0x9e3779b97f4a7c15u);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

}  // namespace

Random::Random(uint64_t seed, uint64_t stream) {
  // Two rounds, so that (seed, stream) and (seed + 1, stream - 1) are far
  // apart.
  uint64_t state = seed;
  state = SplitMix64(&state) ^ stream;
  for (uint64_t& word : state_) word = SplitMix64(&state);
}

uint64_t Random::Next() {
  const uint64_t result = std::rotl(state_[0] + state_[3], 23) + state_[0];
  const uint64_t shifted = state_[1] << 17;
  state_[2] ^= state_[0];
  state_[3] ^= state_[1];
  state_[1] ^= state_[2];
  state_[0] ^= state_[3];
  state_[2] ^= shifted;
  state_[3] = std::rotl(state_[3], 45);
  return result;
}

double Random::Uniform() {
  return static_cast<double>(Next() >> 11) * 0x1.0p-53;
}

int ArgMax(std::span<const float> logits) {
  return static_cast<int>(MaxOf(logits).index);
}

int SampleCategorical(std::span<const float> logits, double temperature,
                      Random& random) {
  SOTTO_CHECK(temperature > 0);
  const float max = MaxOf(logits).value;
  // The bounds keep 0 and -inf times the scale from being NaN.
  const float scale =
      static_cast<float>(std::clamp(1.0 / temperature, 1e-30, 1e30));
  std::array<double, kMaxBlocks> sums;
  const size_t blocks = (logits.size() + kRowBlock - 1) / kRowBlock;
  SOTTO_CHECK(blocks > 0 && blocks <= sums.size());
  const auto block_of = [&](size_t b) {
    const size_t at = b * kRowBlock;
    return logits.subspan(at, std::min(kRowBlock, logits.size() - at));
  };
  double total = 0;
  for (size_t b = 0; b < blocks; ++b)
    total += sums[b] = SumExp(block_of(b), max, scale);

  const double target = random.Uniform() * total;
  double before = 0;  // sum of the blocks already passed
  size_t b = 0;
  while (b + 1 < blocks && before + sums[b] <= target) before += sums[b++];
  // A block may hold nothing that is allowed, but not where the sum ends.
  while (b > 0 && sums[b] == 0) --b;
  std::array<float, kRowBlock> terms;
  const auto block = block_of(b);
  ExpTerms(block, max, scale, terms);
  size_t last = 0;  // last token here with a probability above 0
  for (size_t i = 0; i < block.size() && before <= target; ++i) {
    before += static_cast<double>(terms[i]);
    if (terms[i] > 0) last = i;
  }
  // Rounding may end the walk below the target: then it is the last one.
  return static_cast<int>(b * kRowBlock + last);
}

double LogProbability(std::span<const float> logits, float max, int token) {
  const double below = static_cast<double>(logits[static_cast<size_t>(token)]) -
                       static_cast<double>(max);
  return below - std::log(SumExp(logits, max));
}

double Probability(std::span<const float> logits, int token) {
  return std::exp(LogProbability(logits, MaxOf(logits).value, token));
}

}  // namespace sotto
