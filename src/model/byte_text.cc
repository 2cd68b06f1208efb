// SPDX-License-Identifier: MIT
#include "model/byte_text.h"

#include <array>
#include <cstdint>

namespace sotto {
namespace {

struct Alphabet {
  std::array<uint16_t, 256> of_byte{};
  std::array<int16_t, 324> to_byte{};  // by code point; -1 for none

  Alphabet() {
    to_byte.fill(-1);
    uint16_t next = 256;
    for (int b = 0; b < 256; ++b) {
      const bool printable =
          (b >= '!' && b <= '~') || (b >= 0xa1 && b <= 0xac) || b >= 0xae;
      const auto code = printable ? static_cast<uint16_t>(b) : next++;
      of_byte[static_cast<size_t>(b)] = code;
      to_byte[code] = static_cast<int16_t>(b);
    }
  }
};

const Alphabet& Letters() {
  static const Alphabet alphabet;
  return alphabet;
}

}  // namespace

std::string SpellBytes(std::string_view raw) {
  std::string out;
  for (const char c : raw) {
    const unsigned code = Letters().of_byte[static_cast<unsigned char>(c)];
    if (code < 0x80) {
      out += static_cast<char>(code);
    } else {
      out += static_cast<char>(0xc0u | (code >> 6));
      out += static_cast<char>(0x80u | (code & 0x3fu));
    }
  }
  return out;
}

std::string UnspellBytes(std::string_view spelt) {
  std::string out;
  for (size_t i = 0; i < spelt.size();) {
    const auto lead = static_cast<unsigned char>(spelt[i]);
    unsigned code = lead;
    size_t length = 1;
    if (lead >= 0xc2 && lead < 0xc6 && i + 1 < spelt.size()) {
      const auto tail = static_cast<unsigned char>(spelt[i + 1]);
      code = ((lead & 0x1fu) << 6) | (tail & 0x3fu);
      length = (tail & 0xc0u) == 0x80 ? 2 : 1;
    }
    const bool letter = (lead < 0x80 || length == 2) && code < 324 &&
                        Letters().to_byte[code] >= 0;
    if (letter) {
      out += static_cast<char>(Letters().to_byte[code]);
    } else {
      out.append(spelt.substr(i, length));
    }
    i += length;
  }
  return out;
}

}  // namespace sotto
