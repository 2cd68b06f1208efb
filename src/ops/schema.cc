// SPDX-License-Identifier: MIT
#include "ops/schema.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/error.h"

namespace sotto {
namespace {

using Kind = OpSchema::Kind;

constexpr std::array<std::pair<std::string_view, Kind>, 9> kKinds = {{
    {"T", Kind::kTensor},
    {"T!", Kind::kMutableTensor},
    {"T?", Kind::kOptionalTensor},
    {"i", Kind::kInt},
    {"f", Kind::kFloat},
    {"b", Kind::kBool},
    {"i[]", Kind::kInts},
    {"T[]", Kind::kTensors},
    {"T![]", Kind::kMutableTensors},
}};

[[noreturn]] void Refuse(std::string_view text) {
  Fail(ErrorCode::kBadInput, "schema '{}', want one like (T,T!,i)->(T)", text);
}

// The items of "(a,b)" at the front of *rest, which moves behind it.
std::vector<std::string_view> Items(std::string_view* rest,
                                    std::string_view whole) {
  const size_t close = rest->find(')');
  if (!rest->starts_with('(') || close == std::string_view::npos) Refuse(whole);
  std::string_view inside = rest->substr(1, close - 1);
  rest->remove_prefix(close + 1);
  std::vector<std::string_view> items;
  while (!inside.empty()) {
    const size_t comma = std::min(inside.find(','), inside.size());
    items.push_back(inside.substr(0, comma));
    if (comma + 1 == inside.size()) Refuse(whole);  // "(T,)"
    inside.remove_prefix(std::min(comma + 1, inside.size()));
  }
  return items;
}

}  // namespace

std::string_view Name(OpSchema::Kind kind) {
  for (const auto& [name, known] : kKinds)
    if (known == kind) return name;
  return "?";
}

OpSchema ParseSchema(std::string_view text) {
  OpSchema schema;
  std::string_view rest = text;
  for (const std::string_view item : Items(&rest, text)) {
    const auto row = std::ranges::find(
        kKinds, item, &std::pair<std::string_view, Kind>::first);
    if (row == kKinds.end()) Refuse(text);
    schema.arguments.push_back(row->second);
  }
  if (rest.empty()) return schema;
  if (!rest.starts_with("->")) Refuse(text);
  rest.remove_prefix(2);
  const std::vector<std::string_view> results = Items(&rest, text);
  for (const std::string_view item : results)
    if (item != "T") Refuse(text);
  if (!rest.empty()) Refuse(text);
  schema.results = results.size();
  return schema;
}

}  // namespace sotto
