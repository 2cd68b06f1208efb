// SPDX-License-Identifier: MIT
// The languages Whisper knows: code and English name, in token order.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace sotto {

struct Language {
  std::string_view code;  // as "en"; the token is <|en|>
  std::string_view name;  // as "english"
};

// All 100, in the order of their tokens. Models before large-v3 end before
// the last one (yue).
std::span<const Language> Languages();

// The code for a code, name or alias in any case ("EN", "English",
// "Castilian"); empty where there is none.
std::optional<std::string_view> FindLanguage(std::string_view code_or_name);

// As FindLanguage; throws kBadInput with the nearest name where there is none.
std::string_view ParseLanguage(std::string_view code_or_name);

// "english" for "en"; empty for a code that is none.
std::string_view LanguageName(std::string_view code);

}  // namespace sotto
