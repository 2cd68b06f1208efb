// SPDX-License-Identifier: MIT
// Choosing one token from a row of logits, and how likely it was.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "decode/row_math.h"

namespace sotto {

// Uniform random numbers: xoshiro256++ (Blackman and Vigna 2019), its state
// filled by SplitMix64 from the seed and the stream. The same on every
// machine; streams of one seed do not follow each other, so that windows may
// be decoded in any order.
class Random {
 public:
  explicit Random(uint64_t seed, uint64_t stream = 0);
  uint64_t Next();
  // In [0, 1), a multiple of 2^-53.
  double Uniform();

 private:
  std::array<uint64_t, 4> state_;
};

// The likeliest token: the first of the largest logits, as torch.argmax.
int ArgMax(std::span<const float> logits);

// A token drawn with the probabilities softmax(logits / temperature), by
// inverting their sum at one uniform number. The sum runs in the fixed order
// of SumExp, so a seed draws the same tokens on every machine and for any
// number of threads. `temperature` > 0; at least one logit is not -inf; at most
// 262 144 logits.
int SampleCategorical(std::span<const float> logits, double temperature,
                      Random& random);

// log softmax(logits)[token]. `max` is the row's maximum. torch sums in float;
// this sums 256 elements at a time in float and those sums in double, which is
// nearer to the true value. NaN where the row holds a NaN.
double LogProbability(std::span<const float> logits, float max, int token);

// softmax(logits)[token].
double Probability(std::span<const float> logits, int token);

}  // namespace sotto
