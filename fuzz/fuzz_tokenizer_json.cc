// SPDX-License-Identifier: MIT
// A tokenizer.json from anywhere. What is accepted must write any text and
// read it back.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/error.h"
#include "text/tokenizer.h"
#include "text/utf8.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    sotto::Vocabulary vocabulary = sotto::ParseTokenizerJson(text, "fuzz");
    const int n_vocab = vocabulary.size() + sotto::kTimestampTokens;
    const sotto::Tokenizer tokenizer(std::move(vocabulary), n_vocab);
    const std::string_view some = text.substr(0, 500);
    if (tokenizer.Decode(tokenizer.Encode(some)) !=
        sotto::ReplaceInvalidUtf8(some))
      std::abort();
    tokenizer.SuppressedTokens();
    const int ids[] = {0, tokenizer.eot(), tokenizer.sot(), n_vocab - 1, -1};
    tokenizer.SplitTokensOnSpaces(ids);
  } catch (const sotto::Error& error) {
    if (error.code() == sotto::ErrorCode::kInternal) std::abort();
  }
  return 0;
}
