// SPDX-License-Identifier: MIT
// GPT-2's printable spelling of bytes, in which vocabulary files are written:
// printable Latin-1 stands for itself, the other 68 bytes become U+0100 on.
// Source: openai/gpt-2, src/encoder.py, bytes_to_unicode.
#pragma once

#include <string>
#include <string_view>

namespace sotto {

// Raw bytes to the spelling (UTF-8).
std::string SpellBytes(std::string_view raw);

// The spelling back to raw bytes. What is not of the spelling is kept as it
// is, as special tokens are written.
std::string UnspellBytes(std::string_view spelt);

}  // namespace sotto
