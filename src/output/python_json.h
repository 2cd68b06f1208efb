// SPDX-License-Identifier: MIT
// JSON spelt as Python's json module spells it, byte for byte.
#pragma once

#include <string>
#include <string_view>

namespace sotto {

// repr(value): the shortest digits that read back the same; "1e-05", "0.0".
std::string PythonFloat(double value);

// json.dumps(text): quoted, everything outside ASCII as \uXXXX, characters
// above U+FFFF as two surrogates. Bytes that are no UTF-8 count as U+FFFD.
std::string PythonString(std::string_view text);

}  // namespace sotto
