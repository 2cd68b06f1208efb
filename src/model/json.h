// SPDX-License-Identifier: MIT
// JSON files of the model folders, with errors that name file and key.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace sotto {

// Parses an object. Throws kBadInput with the byte where it stops being JSON.
nlohmann::json ParseJsonObject(std::string_view text, const std::string& file);

// A number from 0 to 2^30 under `key`; `missing` where the key is absent or
// null.
int JsonInt(const nlohmann::json& object, const char* key, int missing,
            const std::string& file);

}  // namespace sotto
