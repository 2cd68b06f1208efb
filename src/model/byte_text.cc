// SPDX-License-Identifier: MIT
#include "model/byte_text.h"

#include <array>

#include "text/utf8.h"

namespace sotto {
namespace {

std::array<char32_t, 256> MakeAlphabet() {
  std::array<char32_t, 256> out{};
  char32_t next = 256;
  for (char32_t b = 0; b < 256; ++b) {
    const bool printable =
        (b >= '!' && b <= '~') || (b >= 0xa1 && b <= 0xac) || b >= 0xae;
    out[b] = printable ? b : next++;
  }
  return out;
}

}  // namespace

std::string SpellBytes(std::string_view raw) {
  static const std::array<char32_t, 256> alphabet = MakeAlphabet();
  std::string out;
  for (const char c : raw)
    AppendUtf8(out, alphabet[static_cast<unsigned char>(c)]);
  return out;
}

}  // namespace sotto
