// SPDX-License-Identifier: MIT
// Spelled-out English numbers as digits: "twenty five percent" is "25%",
// "three dollars and seven cents" is "$3.07", "one oh one" is "101".
#pragma once

#include <string>
#include <string_view>

namespace sotto {

// `text`: lower case, symbols other than . % $ ¢ € £ removed. Any thread.
std::string NumbersAsDigits(std::string_view text);

}  // namespace sotto
