// SPDX-License-Identifier: MIT
#pragma once

namespace sotto::pte {

// What became of the registration when the library was loaded; empty: both
// operators are in the registry and run from here.
const char* RegistrationStatus();

}  // namespace sotto::pte
