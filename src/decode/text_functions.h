// SPDX-License-Identifier: MIT
// What decoding asks of text. The engine fills this from its tokenizer.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>

namespace sotto {

struct TextFunctions {
  // Text of tokens. Timestamp tokens may be among them and give no text.
  std::function<std::string(std::span<const int>)> decode;
  // Bytes of the text over its bytes once compressed by zlib.
  std::function<double(std::string_view)> compression_ratio;
};

// Without the white space at both ends, as Python's str.strip: Unicode's
// spaces count too. `text` is UTF-8.
std::string_view StripSpace(std::string_view text);

}  // namespace sotto
