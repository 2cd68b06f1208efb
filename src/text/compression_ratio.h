// SPDX-License-Identifier: MIT
// How repetitive a text is: a decoder that loops compresses well.
#pragma once

#include <string_view>

namespace sotto {

// Bytes of `text` over the bytes zlib makes of them at its default level, as
// OpenAI's compression_ratio. 0 for an empty text.
double CompressionRatio(std::string_view text);

}  // namespace sotto
