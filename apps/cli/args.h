// SPDX-License-Identifier: MIT
// Makes OpenAI's way of writing options into what CLI11 reads.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sotto::cli {

// The program's words, in the form CLI11 wants:
//  - "--output_format" becomes "--output-format" (values stay as they are);
//  - a boolean option without True or False behind it gets "True";
//  - `aliases` of other tools are replaced ("--prompt": "--initial-prompt").
// What stands after "--" is left alone. Throws Error(kBadInput) for an option
// that Sotto knows of but cannot serve yet.
std::vector<std::string> NormaliseArgs(std::span<const std::string> args,
                                       std::span<const std::string_view> booleans);

// "unknown option --mdoel, did you mean --model?" for the first word of `args`
// that looks like an option and is none of `known`; empty where there is none.
std::string UnknownOption(std::span<const std::string> args,
                          std::span<const std::string> known);

}  // namespace sotto::cli
