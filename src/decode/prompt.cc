// SPDX-License-Identifier: MIT
#include "decode/prompt.h"

#include <algorithm>

#include "base/error.h"

namespace sotto {

std::span<const int> PythonTail(std::span<const int> tokens, int n) {
  const int size = static_cast<int>(tokens.size());
  const int first = n > 0 ? std::max(size - n, 0) : std::min(-n, size);
  return tokens.subspan(static_cast<size_t>(first));
}

int SampleLength(const SearchOptions& options, int n_text_ctx) {
  return options.sample_len > 0 ? options.sample_len : n_text_ctx / 2;
}

std::vector<int> SotSequence(const SearchOptions& options,
                             const SpecialTokens& tokens, int language_token) {
  std::vector<int> sequence = {tokens.sot};
  if (tokens.multilingual) {
    sequence.push_back(language_token);
    sequence.push_back(options.task == Task::kTranslate ? tokens.translate
                                                        : tokens.transcribe);
  }
  if (options.without_timestamps) sequence.push_back(tokens.no_timestamps);
  return sequence;
}

Prompt BuildPrompt(const SearchOptions& options, const SpecialTokens& tokens,
                   int language_token, std::span<const int> previous,
                   int n_text_ctx) {
  Prompt prompt;
  if (!previous.empty()) {
    prompt.tokens.push_back(tokens.sot_prev);
    const auto kept = PythonTail(previous, n_text_ctx / 2 - 1);
    prompt.tokens.insert(prompt.tokens.end(), kept.begin(), kept.end());
  }
  prompt.sot_index = static_cast<int>(prompt.tokens.size());
  const std::vector<int> sot = SotSequence(options, tokens, language_token);
  prompt.tokens.insert(prompt.tokens.end(), sot.begin(), sot.end());
  const auto prefix = PythonTail(
      options.prefix, n_text_ctx / 2 - SampleLength(options, n_text_ctx));
  prompt.tokens.insert(prompt.tokens.end(), prefix.begin(), prefix.end());
  if (prompt.tokens.size() > static_cast<size_t>(n_text_ctx))
    Fail(ErrorCode::kBadInput,
         "prompt: {} tokens ({} of them the prefix), want at most {}, the "
         "model's text context",
         prompt.tokens.size(), prefix.size(), n_text_ctx);
  for (const int token : prompt.tokens)
    if (token < 0 || token >= tokens.n_vocab)
      Fail(ErrorCode::kBadInput,
           "prompt: the model has no token {}, want 0 to {}", token,
           tokens.n_vocab - 1);
  return prompt;
}

}  // namespace sotto
