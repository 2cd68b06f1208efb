// SPDX-License-Identifier: MIT
// The parts of Python's str and unicodedata that the normalisers need.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace sotto {

// str.lower(): with the two rules that look beyond one character.
std::string LowerCase(std::string_view text);

// unicodedata.normalize("NFKD" | "NFKC", text).
std::string Nfkd(std::string_view text);
std::string Nfkc(std::string_view text);

// Two letters, as unicodedata.category: "Lu", "Mn", "Cn".
std::string_view Category(char32_t c);

// Value of a decimal digit of any script; -1 for other characters.
int DigitValue(char32_t c);

// Extended grapheme clusters: what a reader takes for one letter.
std::vector<std::string_view> SplitGraphemes(std::string_view text);

}  // namespace sotto
