// SPDX-License-Identifier: MIT
// Any bytes as text (a prompt comes from outside), and any ids as tokens.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "text/normalize.h"
#include "text/tokenizer.h"
#include "text/utf8.h"

namespace {

void Require(bool condition) {
  if (!condition) std::abort();
}

std::string Joined(const std::vector<sotto::WordTokens>& words,
                   std::vector<int>& ids) {
  std::string text;
  for (const sotto::WordTokens& word : words) {
    text += word.text;
    ids.insert(ids.end(), word.tokens.begin(), word.tokens.end());
  }
  return text;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const auto tokenizer = sotto::Tokenizer::Load({}, {}, 51865);
  static const sotto::EnglishNormalizer normalize;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const std::string valid = sotto::ReplaceInvalidUtf8(text);
  const std::vector<int> ids = tokenizer->Encode(text);
  Require(tokenizer->Decode(ids) == valid);
  Require(sotto::IsValidUtf8(valid));
  // Words of whole text hold all of it, in order.
  for (const char* language : {"en", "ja"}) {
    std::vector<int> same;
    const auto words = tokenizer->SplitToWordTokens(ids, language);
    if (text == valid && valid.find("\uFFFD") == std::string::npos) {
      Require(Joined(words, same) == valid);
      Require(same == ids);
    }
  }
  std::vector<int> any;
  for (size_t i = 0; i + 1 < size; i += 2)
    any.push_back(data[i] << 8 | data[i + 1]);
  Require(sotto::IsValidUtf8(tokenizer->Decode(any)));
  Require(sotto::IsValidUtf8(tokenizer->DecodeWithTimestamps(any)));
  tokenizer->SplitTokensOnSpaces(any);
  Require(sotto::IsValidUtf8(normalize(text)));
  Require(sotto::IsValidUtf8(sotto::NormalizeBasic(text)));
  return 0;
}
