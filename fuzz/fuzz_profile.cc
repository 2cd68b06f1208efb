// SPDX-License-Identifier: MIT
// Profiles. The first byte chooses: 'r' whisper.rlx.toml, anything else ours.
// What is accepted is written and read back equal.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/error.h"
#include "compile/profile.h"
#include "compile/rlx_profile.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sotto;
  if (size == 0) return 0;
  const std::string_view text(
      static_cast<const char*>(static_cast<const void*>(data + 1)), size - 1);
  try {
    const Profile profile = data[0] == 'r' ? ParseRlxProfile(text, "fuzz")
                                           : ParseProfile(text, "fuzz");
    if (!(ParseProfile(profile.ToToml(), "fuzz") == profile)) std::abort();
    for (const Stage stage : kStages) profile.PlanHash(stage);
  } catch (const Error& error) {
    const std::string_view message = error.what();
    if (error.code() != ErrorCode::kBadInput || !message.starts_with("fuzz:"))
      std::abort();
  }
  return 0;
}
