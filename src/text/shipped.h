// SPDX-License-Identifier: MIT
// Files of data/ that every program carries within itself.
#pragma once

#include <string>
#include <string_view>

namespace sotto {

// The file of data/ by its path there: "tokenizers/gpt2.tiktoken". Unpacked
// anew at each call. Throws kInternal for a name that is not shipped.
std::string ShippedFile(std::string_view name);

}  // namespace sotto
