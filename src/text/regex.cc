// SPDX-License-Identifier: MIT
#include "text/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/error.h"
#include "text/utf8.h"

namespace sotto {
namespace {

struct CodeFree {
  void operator()(pcre2_code* code) const { pcre2_code_free(code); }
};
struct MatchFree {
  void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
};

const PCRE2_UCHAR* Units(std::string_view text) {
  return reinterpret_cast<const PCRE2_UCHAR*>(text.data());
}

std::string MessageOf(int error) {
  PCRE2_UCHAR buffer[160] = {};
  pcre2_get_error_message(error, buffer, sizeof buffer);
  return reinterpret_cast<const char*>(buffer);
}

}  // namespace

struct Regex::Code {
  std::unique_ptr<pcre2_code, CodeFree> code;
};

Regex::Regex(const std::string& pattern) : code_(std::make_unique<Code>()) {
  int error = 0;
  PCRE2_SIZE offset = 0;
  const uint32_t options = PCRE2_UTF | PCRE2_UCP;
  code_->code.reset(pcre2_compile(Units(pattern), pattern.size(), options,
                                  &error, &offset, nullptr));
  if (code_->code == nullptr)
    Fail(ErrorCode::kInternal, "pattern '{}' at {}: {}", pattern, offset,
         MessageOf(error));
}

Regex::~Regex() = default;
Regex::Regex(Regex&&) noexcept = default;
Regex& Regex::operator=(Regex&&) noexcept = default;

void Regex::ForEach(
    std::string_view subject,
    const std::function<void(const RegexGroups&)>& visit) const {
  // note: checked once here, because PCRE2 would check the rest of the
  // subject again at every match.
  SOTTO_CHECK(IsValidUtf8(subject));
  const pcre2_code* code = code_->code.get();
  const std::unique_ptr<pcre2_match_data, MatchFree> data(
      pcre2_match_data_create_from_pattern(code, nullptr));
  if (data == nullptr) Fail(ErrorCode::kOutOfMemory, "pattern: no memory");
  // An empty view may have no address; PCRE2 wants one.
  if (subject.data() == nullptr) subject = "";
  RegexGroups groups(pcre2_get_ovector_count(data.get()));
  size_t pos = 0;
  uint32_t options = PCRE2_NO_UTF_CHECK;
  while (pos <= subject.size()) {
    const int count = pcre2_match(code, Units(subject), subject.size(), pos,
                                  options, data.get(), nullptr);
    if (count == PCRE2_ERROR_NOMATCH) return;
    if (count < 0)
      Fail(ErrorCode::kBadInput, "text of {} bytes: pattern match failed: {}",
           subject.size(), MessageOf(count));
    const PCRE2_SIZE* ends = pcre2_get_ovector_pointer(data.get());
    for (size_t i = 0; i < groups.size(); ++i) {
      const bool set =
          i < static_cast<size_t>(count) && ends[2 * i] != PCRE2_UNSET;
      groups[i] =
          set ? subject.substr(ends[2 * i], ends[2 * i + 1] - ends[2 * i])
              : std::string_view();
    }
    pos = ends[1];
    // As Python since 3.7: an empty match may follow a full one directly, but
    // not another empty one.
    options = PCRE2_NO_UTF_CHECK;
    if (ends[0] == ends[1]) options |= PCRE2_NOTEMPTY_ATSTART;
    visit(groups);
  }
}

std::string Regex::Replace(
    std::string_view subject,
    const std::function<std::string(const RegexGroups&)>& with) const {
  std::string out;
  if (subject.data() == nullptr) subject = "";
  const char* rest = subject.data();
  ForEach(subject, [&](const RegexGroups& groups) {
    out.append(rest, groups[0].data());
    out += with(groups);
    rest = groups[0].data() + groups[0].size();
  });
  out.append(rest, subject.data() + subject.size());
  return out;
}

std::string Regex::Replace(std::string_view subject,
                           std::string_view with) const {
  return Replace(subject,
                 [with](const RegexGroups&) { return std::string(with); });
}

}  // namespace sotto
