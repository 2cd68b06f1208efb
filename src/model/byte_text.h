// SPDX-License-Identifier: MIT
// GPT-2's printable spelling of bytes, in which vocabulary files are written;
// BytesOfAlphabet (text/vocabulary.h) is the way back.
#pragma once

#include <string>
#include <string_view>

namespace sotto {

// Printable Latin-1 stands for itself, the other 68 bytes become U+0100 on, in
// their order. UTF-8. Source: openai/gpt-2, src/encoder.py, bytes_to_unicode.
std::string SpellBytes(std::string_view raw);

}  // namespace sotto
