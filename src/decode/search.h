// SPDX-License-Identifier: MIT
// What a search is: it asks for logits and chooses tokens. It knows nothing of
// programs or audio, so it is tested with scripted logits.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace sotto {

// One window's decoder as the searches see it. Implemented over programs in
// engine/, over scripts in tests. One thread at a time.
class LogitSource {
 public:
  virtual ~LogitSource() = default;
  virtual int vocab_size() const = 0;
  // Forgets everything decoded, feeds `prompt` and returns the logits after
  // its last token. Where `sot_index` >= 0, `sot_logits` receives the logits
  // after prompt[sot_index] (for the no-speech probability). The spans stay
  // valid until the next call; the search may write in them.
  virtual std::span<float> Prefill(std::span<const int> prompt, int sot_index,
                                   std::span<float>* sot_logits) = 0;
  // Feeds one token and returns the logits after it.
  virtual std::span<float> Step(int token) = 0;
};

// The result of one decoding attempt of one window.
struct Hypothesis {
  std::vector<int> tokens;  // after the prompt, without end-of-text
  double sum_logprob = 0;   // end-of-text included
  double avg_logprob = 0;   // sum / (tokens + 1), as OpenAI
  double no_speech_prob = 0;
  double temperature = 0;
  double compression_ratio = 0;
};

}  // namespace sotto
