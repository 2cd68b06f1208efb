// SPDX-License-Identifier: MIT
#pragma once

#include <string>

namespace sotto {

// "0.1.0"
const char* Version();
// "sotto 0.1.0 (amx_bf16 ..., 2 cores, Intel ...)": for bug reports.
std::string VersionLine();

}  // namespace sotto
