// SPDX-License-Identifier: MIT
#include "output/python_json.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <nlohmann/json.hpp>
#include <random>
#include <string>

namespace sotto {
namespace {

// What Python's float_repr does, by trial: the fewest digits that read back,
// then the point where it belongs. Slow, and independent of to_chars.
std::string SlowRepr(double value) {
  char buffer[64];
  int digits = 0;
  do {
    std::snprintf(buffer, sizeof buffer, "%.*e", digits, value);
  } while (std::strtod(buffer, nullptr) != value && ++digits < 17);
  const std::string scientific = buffer;
  const size_t e = scientific.find('e');
  const int exponent = std::atoi(scientific.c_str() + e + 1);
  if (exponent < -4 || exponent >= 16) return scientific;
  std::string mantissa = scientific.substr(0, e);
  std::string sign;
  if (mantissa[0] == '-') {
    sign = "-";
    mantissa.erase(0, 1);
  }
  if (mantissa.size() > 1) mantissa.erase(1, 1);
  if (exponent < 0)
    return sign + "0." + std::string(static_cast<size_t>(-exponent - 1), '0') +
           mantissa;
  const auto whole = static_cast<size_t>(exponent) + 1;
  if (mantissa.size() < whole + 1) mantissa.resize(whole + 1, '0');
  return sign + mantissa.insert(whole, ".");
}

TEST(PythonFloat, FollowsThePublishedExamples) {
  EXPECT_EQ(PythonFloat(0.0), "0.0");
  EXPECT_EQ(PythonFloat(-0.0), "-0.0");
  EXPECT_EQ(PythonFloat(11), "11.0");
  EXPECT_EQ(PythonFloat(0.1), "0.1");
  EXPECT_EQ(PythonFloat(1e-05), "1e-05");
  EXPECT_EQ(PythonFloat(0.0001), "0.0001");
  EXPECT_EQ(PythonFloat(1e15), "1000000000000000.0");
  EXPECT_EQ(PythonFloat(1e16), "1e+16");
  EXPECT_EQ(PythonFloat(9007199254740994.0), "9007199254740994.0");
  EXPECT_EQ(PythonFloat(-1.5e300), "-1.5e+300");
  EXPECT_EQ(PythonFloat(5e-324), "5e-324");
  EXPECT_EQ(PythonFloat(0.6000000000000001), "0.6000000000000001");
  EXPECT_EQ(PythonFloat(std::nan("")), "NaN");
  EXPECT_EQ(PythonFloat(-std::numeric_limits<double>::infinity()), "-Infinity");
}

TEST(PythonFloat, IsTheShortestThatReadsBack) {
  std::mt19937_64 rng(1);
  for (int i = 0; i < 100000; ++i) {
    // Half of any bits, half of the sizes that times and scores have.
    double value = std::bit_cast<double>(rng());
    if (i % 2 == 0)
      value = std::ldexp(static_cast<double>(rng() % 2000001) - 1e6,
                         static_cast<int>(rng() % 60) - 50) /
              100;
    if (!std::isfinite(value) || value == 0) continue;
    const std::string text = PythonFloat(value);
    ASSERT_EQ(std::strtod(text.c_str(), nullptr), value) << text;
    ASSERT_EQ(text, SlowRepr(value));
  }
}

TEST(PythonString, EscapesAsPython) {
  EXPECT_EQ(PythonString("a\"\\/\b\f\n\r\t\x01\x7F"),
            "\"a\\\"\\\\/\\b\\f\\n\\r\\t\\u0001\\u007f\"");
  EXPECT_EQ(PythonString("\u00e9\u65e5\U0001F44D"),
            "\"\\u00e9\\u65e5\\ud83d\\udc4d\"");
  EXPECT_EQ(PythonString("\xFF"), "\"\\ufffd\"");
}

TEST(PythonString, ReadsBack) {
  std::mt19937 rng(2);
  for (int i = 0; i < 2000; ++i) {
    std::u32string text;
    for (size_t n = rng() % 20; n > 0; --n) {
      const auto c =
          static_cast<char32_t>(rng() % (i % 2 == 0 ? 0x80 : 0x110000));
      if (c < 0xD800 || c > 0xDFFF) text.push_back(c);
    }
    std::string utf8;
    for (const char32_t c : text) {
      // nlohmann's reader is the independent side.
      const auto unit = static_cast<unsigned>(c);
      char buffer[16];
      if (c < 0x10000)
        std::snprintf(buffer, sizeof buffer, "\\u%04x", unit);
      else
        std::snprintf(buffer, sizeof buffer, "\\u%04x\\u%04x",
                      0xD800 + ((unit - 0x10000) >> 10),
                      0xDC00 + ((unit - 0x10000) & 0x3FF));
      utf8 += nlohmann::json::parse("\"" + std::string(buffer) + "\"")
                  .get<std::string>();
    }
    EXPECT_EQ(nlohmann::json::parse(PythonString(utf8)), utf8);
  }
}

}  // namespace
}  // namespace sotto
