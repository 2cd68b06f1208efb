// SPDX-License-Identifier: MIT
// What parsers of our line-by-line texts share: lines, comments, single
// characters, and refusals that name file and line.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string_view>
#include <utility>

#include "base/error.h"

namespace sotto {

// A base class for a parser; `text` must outlive it. Hostile text is quoted in
// messages up to `quote` characters.
class LineParser {
 protected:
  LineParser(std::string_view text, std::string_view file, size_t quote)
      : text_(text), file_(file), quote_(quote) {}

  // Calls `parse` for each line but empty ones and comments (`# ...`), with
  // the line, less leading spaces, in `rest_` and its number in `line_`.
  template <typename Parse>
  void EachLine(Parse&& parse) {
    size_t at = 0;
    while (at < text_.size()) {
      const size_t end = std::min(text_.find('\n', at), text_.size());
      rest_ = text_.substr(at, end - at);
      ++line_;
      at = end + 1;
      if (!rest_.empty() && rest_.back() == '\r') rest_.remove_suffix(1);
      SkipSpaces();
      if (!rest_.empty() && rest_.front() != '#') parse();
    }
  }

  // Throws kBadInput "file:line: message".
  template <typename... Args>
  [[noreturn]] void Refuse(fmt::format_string<Args...> format,
                           Args&&... args) const {
    Fail(ErrorCode::kBadInput, "{}:{}: {}", file_, line_,
         fmt::format(format, std::forward<Args>(args)...));
  }

  std::string_view Head() const { return rest_.substr(0, quote_); }
  void SkipSpaces() {
    while (!rest_.empty() && (rest_.front() == ' ' || rest_.front() == '\t'))
      rest_.remove_prefix(1);
  }
  bool Take(char c) {
    SkipSpaces();
    if (rest_.empty() || rest_.front() != c) return false;
    rest_.remove_prefix(1);
    return true;
  }
  void Expect(char c) {
    if (!Take(c)) Refuse("'{}', want '{}'", Head(), c);
  }

  std::string_view text_;
  std::string_view file_;
  std::string_view rest_;  // of the line being read
  size_t quote_;
  int line_ = 0;
};

}  // namespace sotto
