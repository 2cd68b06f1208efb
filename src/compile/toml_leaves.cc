// SPDX-License-Identifier: MIT
#include "compile/toml_leaves.h"

#include <toml++/toml.h>

#include <algorithm>

#include "base/error.h"

namespace sotto {
namespace {

using Value = decltype(TomlLeaf::value);

// An array of whole numbers, or nothing a profile has.
Value ArrayValue(const toml::array& array) {
  std::vector<int64_t> numbers;
  for (const toml::node& item : array) {
    const auto* number = item.as_integer();
    if (number == nullptr) return OtherToml{"an array of other things"};
    numbers.push_back(number->get());
  }
  return numbers;
}

Value ValueOf(const toml::node& node) {
  if (const auto* value = node.as_boolean()) return value->get();
  if (const auto* value = node.as_integer()) return value->get();
  if (const auto* value = node.as_string()) return value->get();
  if (const auto* value = node.as_array()) return ArrayValue(*value);
  if (node.is_floating_point()) return OtherToml{"a float"};
  if (node.is_table()) return OtherToml{"an empty table"};
  return OtherToml{"a date or time"};
}

// note: the library limits nesting to 256 tables, and so this recursion.
void Flatten(const toml::table& table, const std::string& prefix,
             std::vector<TomlLeaf>& leaves) {
  for (const auto& [key, node] : table) {
    const std::string path = prefix.empty()
                                 ? std::string(key.str())
                                 : prefix + "." + std::string(key.str());
    if (const toml::table* inner = node.as_table();
        inner != nullptr && !inner->empty()) {
      Flatten(*inner, path, leaves);
      continue;
    }
    leaves.push_back({.path = path,
                      .line = static_cast<int>(node.source().begin.line),
                      .value = ValueOf(node)});
  }
}

}  // namespace

std::string TomlLeaf::Kind() const {
  switch (value.index()) {
    case 0:
      return "a boolean";
    case 1:
      return "an integer";
    case 2:
      return "a string";
    case 3:
      return "an array of integers";
    default:
      return std::get<OtherToml>(value).what;
  }
}

std::vector<TomlLeaf> ReadToml(std::string_view text, std::string_view file) {
  std::vector<TomlLeaf> leaves;
  try {
    Flatten(toml::parse(text), "", leaves);
  } catch (const toml::parse_error& error) {
    Fail(ErrorCode::kBadInput, "{}:{}: {}", file, error.source().begin.line,
         error.description());
  }
  std::stable_sort(
      leaves.begin(), leaves.end(),
      [](const TomlLeaf& a, const TomlLeaf& b) { return a.line < b.line; });
  return leaves;
}

}  // namespace sotto
