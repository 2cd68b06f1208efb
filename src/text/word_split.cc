// SPDX-License-Identifier: MIT
// Tokens to words, for word times. Follows openai/whisper, tokenizer.py,
// split_to_word_tokens, so that words come out as there.
#include <algorithm>
#include <array>

#include "text/tokenizer.h"
#include "text/utf8.h"

namespace sotto {
namespace {

constexpr std::string_view kPunctuation = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~";

bool IsWrittenWithoutSpaces(std::string_view language) {
  constexpr std::array<std::string_view, 6> kCodes = {"zh", "ja", "th",
                                                      "lo", "my", "yue"};
  return std::find(kCodes.begin(), kCodes.end(), language) != kCodes.end();
}

}  // namespace

std::vector<WordTokens> Tokenizer::SplitTokensOnUnicode(
    std::span<const int> tokens) const {
  const std::u32string whole = DecodeUtf8(DecodeWithTimestamps(tokens));
  std::vector<WordTokens> words;
  WordTokens current;
  std::string bytes;
  size_t offset = 0;  // characters of `whole` behind the finished words
  for (const int token : tokens) {
    current.tokens.push_back(token);
    AppendWithSpecials(bytes, token);
    const std::u32string text = DecodeUtf8(bytes);
    const size_t broken = text.find(kReplacement);
    // A broken character at the end may be completed by the next token; one
    // that the whole text has too never will.
    const bool finished = broken == std::u32string::npos ||
                          (offset + broken < whole.size() &&
                           whole[offset + broken] == kReplacement);
    if (!finished) continue;
    current.text = ReplaceInvalidUtf8(bytes);
    words.push_back(std::move(current));
    current = {};
    bytes.clear();
    offset += text.size();
  }
  return words;
}

std::vector<WordTokens> Tokenizer::SplitTokensOnSpaces(
    std::span<const int> tokens) const {
  std::vector<WordTokens> words;
  for (WordTokens& part : SplitTokensOnUnicode(tokens)) {
    const bool special = part.tokens.front() >= eot();
    // As Python's `in`: a run of signs only where it stands in that order,
    // and nothing but space counts as well.
    const bool punctuation =
        kPunctuation.find(StripSpace(part.text)) != std::string_view::npos;
    if (special || part.text.starts_with(' ') || punctuation || words.empty()) {
      words.push_back(std::move(part));
      continue;
    }
    words.back().text += part.text;
    words.back().tokens.insert(words.back().tokens.end(), part.tokens.begin(),
                               part.tokens.end());
  }
  return words;
}

std::vector<WordTokens> Tokenizer::SplitToWordTokens(
    std::span<const int> tokens, std::string_view language) const {
  return IsWrittenWithoutSpaces(language) ? SplitTokensOnUnicode(tokens)
                                          : SplitTokensOnSpaces(tokens);
}

}  // namespace sotto
