// SPDX-License-Identifier: MIT
#include "text/unicode.h"

#include <utf8proc.h>

#include <cstdlib>
#include <memory>

#include "base/error.h"
#include "text/regex.h"
#include "text/utf8.h"

namespace sotto {
namespace {

struct CFree {
  void operator()(utf8proc_uint8_t* bytes) const { std::free(bytes); }
};

std::string Map(std::string_view text, int options) {
  utf8proc_uint8_t* raw = nullptr;
  const auto size =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                   static_cast<utf8proc_ssize_t>(text.size()), &raw,
                   static_cast<utf8proc_option_t>(options));
  const std::unique_ptr<utf8proc_uint8_t, CFree> mapped(raw);
  if (size < 0)
    Fail(ErrorCode::kBadInput, "text of {} bytes: {}", text.size(),
         utf8proc_errmsg(size));
  return {reinterpret_cast<const char*>(mapped.get()),
          static_cast<size_t>(size)};
}

constexpr char32_t kFinalSigma = 0x3C2;
constexpr char32_t kDottedI = 0x130;

// A capital sigma that ends a word. Letters that have case decide; signs such
// as an apostrophe are looked past (Unicode 3.13, Final_Sigma).
const Regex& SigmaAtEnd() {
  static const Regex regex(
      R"((\p{Cased}\p{Case_Ignorable}*)Σ(?!\p{Case_Ignorable}*\p{Cased}))");
  return regex;
}

}  // namespace

std::string LowerCase(std::string_view text) {
  std::string repaired;
  if (text.find("Σ") != std::string_view::npos) {
    const std::string final_sigma = EncodeUtf8(kFinalSigma);
    text = repaired =
        SigmaAtEnd().Replace(text, [&final_sigma](const RegexGroups& groups) {
          return std::string(groups[1]) + final_sigma;
        });
  }
  std::string out;
  out.reserve(text.size());
  bool valid = true;
  for (size_t pos = 0; pos < text.size();) {
    const char32_t c = NextCodePoint(text, pos, valid);
    if (c == kDottedI)
      out += "i\u0307";
    else
      AppendUtf8(out, static_cast<char32_t>(
                          utf8proc_tolower(static_cast<utf8proc_int32_t>(c))));
  }
  return out;
}

std::string Nfkd(std::string_view text) {
  return Map(text, UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT);
}

std::string Nfkc(std::string_view text) {
  return Map(text, UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT);
}

std::string_view Category(char32_t c) {
  return utf8proc_category_string(static_cast<utf8proc_int32_t>(c));
}

int DigitValue(char32_t c) {
  if (Category(c) != "Nd") return -1;
  // Decimal digits stand in runs of ten (or several tens), zero first.
  char32_t first = c;
  while (Category(first - 1) == "Nd") --first;
  return static_cast<int>((c - first) % 10);
}

std::vector<std::string_view> SplitGraphemes(std::string_view text) {
  std::vector<std::string_view> clusters;
  size_t begin = 0;
  char32_t last = 0;
  utf8proc_int32_t state = 0;
  bool valid = true;
  for (size_t pos = 0; pos < text.size();) {
    const size_t here = pos;
    const char32_t c = NextCodePoint(text, pos, valid);
    if (here > 0 && utf8proc_grapheme_break_stateful(
                        static_cast<utf8proc_int32_t>(last),
                        static_cast<utf8proc_int32_t>(c), &state)) {
      clusters.push_back(text.substr(begin, here - begin));
      begin = here;
    }
    last = c;
  }
  if (begin < text.size()) clusters.push_back(text.substr(begin));
  return clusters;
}

}  // namespace sotto
