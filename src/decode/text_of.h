// SPDX-License-Identifier: MIT
// What decoding asks of text.
#pragma once

#include <functional>
#include <span>
#include <string>

#include "text/utf8.h"  // StripSpace, which callers of TextOf need

namespace sotto {

// The text of tokens: Tokenizer::Decode of the model. Timestamp tokens may be
// among them and give no text.
using TextOf = std::function<std::string(std::span<const int>)>;

}  // namespace sotto
