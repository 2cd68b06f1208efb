// SPDX-License-Identifier: MIT
#include "model/json.h"

#include <nlohmann/json.hpp>

#include "base/error.h"

namespace sotto {

nlohmann::json ParseJsonObject(std::string_view text, const std::string& file) {
  nlohmann::json value;
  try {
    value = nlohmann::json::parse(text);
  } catch (const nlohmann::json::parse_error& error) {
    Fail(ErrorCode::kBadInput, "{}: not JSON at byte {}", file, error.byte);
  } catch (const nlohmann::json::exception&) {
    Fail(ErrorCode::kBadInput, "{}: not JSON that can be read", file);
  }
  if (!value.is_object())
    Fail(ErrorCode::kBadInput, "{}: {}, want a JSON object", file,
         value.type_name());
  return value;
}

int JsonInt(const nlohmann::json& object, const char* key, int missing,
            const std::string& file) {
  const auto found = object.find(key);
  if (found == object.end() || found->is_null()) return missing;
  if (!found->is_number_unsigned() || found->get<uint64_t>() > 1u << 30)
    Fail(ErrorCode::kBadInput, "{}: {} is {}, want a number", file, key,
         found->is_number() ? found->dump() : found->type_name());
  return found->get<int>();
}

}  // namespace sotto
