// SPDX-License-Identifier: MIT
// A rank file, or a list of tokens a line, as the first byte says ('l').
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "text/tokenizer.h"
#include "text/utf8.h"

namespace {

sotto::Vocabulary Read(std::string_view text) {
  if (!text.starts_with('l')) return sotto::ParseTiktoken(text, "fuzz");
  std::vector<std::string> tokens(1);
  for (const char c : text.substr(1))
    if (c == '\n')
      tokens.emplace_back();
    else
      tokens.back() += c;
  return sotto::FromTokenList(tokens, "fuzz");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    const sotto::Tokenizer tokenizer(Read(text), 51865);
    const std::string_view some = text.substr(0, 500);
    if (tokenizer.Decode(tokenizer.Encode(some)) !=
        sotto::ReplaceInvalidUtf8(some))
      std::abort();
  } catch (const sotto::Error& error) {
    if (error.code() == sotto::ErrorCode::kInternal) std::abort();
  }
  return 0;
}
