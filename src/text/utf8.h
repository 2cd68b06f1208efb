// SPDX-License-Identifier: MIT
// UTF-8 as Python reads it: strict, and with errors="replace".
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace sotto {

inline constexpr char32_t kReplacement = 0xFFFD;

// Reads the code point at text[pos] and moves `pos` behind it. An ill-formed
// sequence gives kReplacement, sets `valid` to false and skips its maximal
// subpart (Unicode 3.9, practice of W3C and of CPython): at least one byte.
char32_t NextCodePoint(std::string_view text, size_t& pos, bool& valid);

void AppendUtf8(std::string& out, char32_t code_point);
std::string EncodeUtf8(char32_t code_point);

bool IsValidUtf8(std::string_view bytes);

// bytes.decode("utf-8", errors="replace") as UTF-8 again.
std::string ReplaceInvalidUtf8(std::string_view bytes);

// The code points of `bytes`, ill-formed sequences replaced.
std::u32string DecodeUtf8(std::string_view bytes);

size_t CountCodePoints(std::string_view bytes);

// How many bytes at the end are the start of a character that more bytes may
// complete: 0 to 3. A stream prints up to there and keeps the rest.
size_t IncompleteUtf8Suffix(std::string_view bytes);

// str.isspace() of Python: what strip() and split() cut at.
bool IsPythonSpace(char32_t c);
// str.strip() and str.split() of valid UTF-8; the results are views of `text`.
std::string_view StripSpace(std::string_view text);
std::vector<std::string_view> SplitAtSpace(std::string_view text);

}  // namespace sotto
