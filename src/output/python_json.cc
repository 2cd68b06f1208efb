// SPDX-License-Identifier: MIT
#include "output/python_json.h"

#include <charconv>
#include <cmath>

#include "base/error.h"
#include "text/utf8.h"

namespace sotto {
namespace {

// Room for the longest: sign, 17 digits, point, exponent; fixed numbers here
// are below 1e16 and have at most 4 zeros before their digits.
constexpr size_t kRoom = 40;

std::string Shortest(double value, std::chars_format format) {
  char buffer[kRoom];
  const auto [end, error] =
      std::to_chars(buffer, buffer + kRoom, value, format);
  SOTTO_CHECK(error == std::errc());
  return {buffer, end};
}

void AppendEscape(std::string& out, unsigned unit) {
  out += fmt::format("\\u{:04x}", unit);
}

void AppendCharacter(std::string& out, char32_t c) {
  switch (c) {
    case '"':
      out += "\\\"";
      return;
    case '\\':
      out += "\\\\";
      return;
    case '\b':
      out += "\\b";
      return;
    case '\f':
      out += "\\f";
      return;
    case '\n':
      out += "\\n";
      return;
    case '\r':
      out += "\\r";
      return;
    case '\t':
      out += "\\t";
      return;
    default:
      break;
  }
  if (c >= 0x20 && c < 0x7F) {
    out.push_back(static_cast<char>(c));
  } else if (c < 0x10000) {
    AppendEscape(out, c);
  } else {
    AppendEscape(out, 0xD800 + ((c - 0x10000) >> 10));
    AppendEscape(out, 0xDC00 + ((c - 0x10000) & 0x3FF));
  }
}

}  // namespace

std::string PythonFloat(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value < 0 ? "-Infinity" : "Infinity";
  if (value == 0) return std::signbit(value) ? "-0.0" : "0.0";
  std::string scientific = Shortest(value, std::chars_format::scientific);
  int exponent = 0;
  const char* digits = scientific.data() + scientific.find('e') + 1;
  if (*digits == '+') ++digits;
  std::from_chars(digits, scientific.data() + scientific.size(), exponent);
  if (exponent < -4 || exponent >= 16) return scientific;
  std::string fixed = Shortest(value, std::chars_format::fixed);
  if (fixed.find('.') == std::string::npos) fixed += ".0";
  return fixed;
}

std::string PythonString(std::string_view text) {
  std::string out = "\"";
  out.reserve(text.size() + 2);
  bool valid = true;
  for (size_t pos = 0; pos < text.size();)
    AppendCharacter(out, NextCodePoint(text, pos, valid));
  out += '"';
  return out;
}

}  // namespace sotto
