// SPDX-License-Identifier: MIT
// The text of profiles/*.toml, so that an installed program needs no files.
#pragma once

namespace sotto {

struct ShippedProfile {
  const char* name;
  const char* toml;
};
extern const ShippedProfile kShippedProfiles[];
extern const int kShippedProfileCount;

}  // namespace sotto
