// SPDX-License-Identifier: MIT
// TOML as a flat list of keys with their lines, so that one file knows the
// library and the readers of profiles know only their keys.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace sotto {

// What a profile has no use for: "a float", "an empty table", ...
struct OtherToml {
  std::string what;
};

struct TomlLeaf {
  std::string path;  // "fuse.qkv"
  int line = 0;
  std::variant<bool, int64_t, std::string, std::vector<int64_t>, OtherToml>
      value;

  // "a boolean", "an integer", ... for messages.
  std::string Kind() const;
};

// All keys of the text in file order. Hostile text is fine. Throws
// Error(kBadInput) as "file:line: cause".
std::vector<TomlLeaf> ReadToml(std::string_view text, std::string_view file);

}  // namespace sotto
