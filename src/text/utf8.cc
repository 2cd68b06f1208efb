// SPDX-License-Identifier: MIT
#include "text/utf8.h"

#include <algorithm>

namespace sotto {
namespace {

unsigned At(std::string_view text, size_t i) {
  return static_cast<unsigned char>(text[i]);
}

// What the second byte may be, by the first: Unicode table 3-7. It rules out
// overlong forms, surrogates and values above 10FFFF.
struct SecondByte {
  unsigned low = 0x80;
  unsigned high = 0xBF;
};

SecondByte RangeAfter(unsigned lead) {
  switch (lead) {
    case 0xE0:
      return {0xA0, 0xBF};
    case 0xED:
      return {0x80, 0x9F};
    case 0xF0:
      return {0x90, 0xBF};
    case 0xF4:
      return {0x80, 0x8F};
    default:
      return {};
  }
}

// Bytes that a sequence with this lead needs; 0 where it can be no lead.
size_t LengthOf(unsigned lead) {
  if (lead < 0x80) return 1;
  if (lead >= 0xC2 && lead <= 0xDF) return 2;
  if (lead >= 0xE0 && lead <= 0xEF) return 3;
  if (lead >= 0xF0 && lead <= 0xF4) return 4;
  return 0;
}

// How many bytes from `pos` on belong to a well-formed start of a character.
size_t MaximalSubpart(std::string_view text, size_t pos, size_t length) {
  const SecondByte range = RangeAfter(At(text, pos));
  size_t n = 1;
  while (n < length && pos + n < text.size()) {
    const unsigned byte = At(text, pos + n);
    const unsigned low = n == 1 ? range.low : 0x80;
    const unsigned high = n == 1 ? range.high : 0xBF;
    if (byte < low || byte > high) break;
    ++n;
  }
  return n;
}

}  // namespace

char32_t NextCodePoint(std::string_view text, size_t& pos, bool& valid) {
  const unsigned lead = At(text, pos);
  if (lead < 0x80) {
    ++pos;
    return lead;
  }
  const size_t length = LengthOf(lead);
  const size_t n = length == 0 ? 1 : MaximalSubpart(text, pos, length);
  if (n != length) {
    valid = false;
    pos += n;
    return kReplacement;
  }
  char32_t c = lead & (0xFFu >> (length + 1));
  for (size_t i = 1; i < length; ++i) c = c << 6 | (At(text, pos + i) & 0x3Fu);
  pos += length;
  return c;
}

void AppendUtf8(std::string& out, char32_t c) {
  const auto put = [&out](char32_t byte) {
    out.push_back(static_cast<char>(byte));
  };
  if (c < 0x80) return put(c);
  if (c < 0x800) {
    put(0xC0 | c >> 6);
  } else {
    if (c < 0x10000) {
      put(0xE0 | c >> 12);
    } else {
      put(0xF0 | c >> 18);
      put(0x80 | (c >> 12 & 0x3F));
    }
    put(0x80 | (c >> 6 & 0x3F));
  }
  put(0x80 | (c & 0x3F));
}

std::string EncodeUtf8(char32_t code_point) {
  std::string out;
  AppendUtf8(out, code_point);
  return out;
}

bool IsValidUtf8(std::string_view bytes) {
  bool valid = true;
  for (size_t pos = 0; pos < bytes.size() && valid;)
    NextCodePoint(bytes, pos, valid);
  return valid;
}

std::string ReplaceInvalidUtf8(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size());
  for (size_t pos = 0; pos < bytes.size();) {
    const size_t begin = pos;
    bool valid = true;
    NextCodePoint(bytes, pos, valid);
    if (valid)
      out.append(bytes.substr(begin, pos - begin));
    else
      AppendUtf8(out, kReplacement);
  }
  return out;
}

std::u32string DecodeUtf8(std::string_view bytes) {
  std::u32string out;
  out.reserve(bytes.size());
  bool valid = true;
  for (size_t pos = 0; pos < bytes.size();)
    out.push_back(NextCodePoint(bytes, pos, valid));
  return out;
}

size_t CountCodePoints(std::string_view bytes) {
  size_t n = 0;
  bool valid = true;
  for (size_t pos = 0; pos < bytes.size(); ++n)
    NextCodePoint(bytes, pos, valid);
  return n;
}

size_t IncompleteUtf8Suffix(std::string_view bytes) {
  for (size_t back = 1; back <= std::min<size_t>(3, bytes.size()); ++back) {
    const size_t pos = bytes.size() - back;
    const size_t length = LengthOf(At(bytes, pos));
    if (length == 0) continue;  // a continuation byte: look further back
    const bool open =
        length > back && MaximalSubpart(bytes, pos, length) == back;
    return open ? back : 0;
  }
  return 0;
}

bool IsPythonSpace(char32_t c) {
  // Bidirectional types WS, B and S, and category Zs: unlike the White_Space
  // property this holds the four information separators 1C to 1F.
  return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 ||
         c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) ||
         c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

std::vector<std::string_view> SplitAtSpace(std::string_view text) {
  std::vector<std::string_view> words;
  size_t word_begin = 0;
  bool valid = true;
  for (size_t pos = 0; pos < text.size();) {
    const size_t begin = pos;
    if (!IsPythonSpace(NextCodePoint(text, pos, valid))) continue;
    if (begin > word_begin)
      words.push_back(text.substr(word_begin, begin - word_begin));
    word_begin = pos;
  }
  if (word_begin < text.size()) words.push_back(text.substr(word_begin));
  return words;
}

std::string_view StripSpace(std::string_view text) {
  size_t first = text.size(), last = 0;
  bool valid = true;
  for (size_t pos = 0; pos < text.size();) {
    const size_t begin = pos;
    if (IsPythonSpace(NextCodePoint(text, pos, valid))) continue;
    first = std::min(first, begin);
    last = pos;
  }
  return first < last ? text.substr(first, last - first) : std::string_view();
}

}  // namespace sotto
