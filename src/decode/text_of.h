// SPDX-License-Identifier: MIT
// What decoding asks of text.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>

namespace sotto {

// The text of tokens: Tokenizer::Decode of the model. Timestamp tokens may be
// among them and give no text.
using TextOf = std::function<std::string(std::span<const int>)>;

// Without the white space at both ends, as Python's str.strip: Unicode's
// spaces count too. `text` is UTF-8.
std::string_view StripSpace(std::string_view text);

}  // namespace sotto
