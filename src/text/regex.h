// SPDX-License-Identifier: MIT
// A compiled regular expression over UTF-8: PCRE2 with Unicode properties.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace sotto {

// Groups of one match as views of the subject; group 0 is the whole match. A
// group that took no part is empty.
using RegexGroups = std::vector<std::string_view>;

// Const after construction; any thread. Subjects must be valid UTF-8.
class Regex {
 public:
  explicit Regex(const std::string& pattern);
  ~Regex();
  Regex(Regex&&) noexcept;
  Regex& operator=(Regex&&) noexcept;

  // Calls `visit` for each match from left to right, as Python's finditer.
  void ForEach(std::string_view subject,
               const std::function<void(const RegexGroups&)>& visit) const;
  // re.sub with a function.
  std::string Replace(
      std::string_view subject,
      const std::function<std::string(const RegexGroups&)>& with) const;
  // re.sub with fixed text (no escapes are read in it).
  std::string Replace(std::string_view subject, std::string_view with) const;

 private:
  struct Code;
  std::unique_ptr<Code> code_;
};

}  // namespace sotto
