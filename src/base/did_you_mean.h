// SPDX-License-Identifier: MIT
// Guesses what a misspelt option, key or model name was meant to be.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace sotto {

// Edits (insert, delete, replace, swap of neighbours) between two words; case
// does not count, and '-' and '_' are the same letter. The distance is the
// "optimal string alignment" one: no part is edited twice.
size_t EditDistance(std::string_view a, std::string_view b);

// The candidate nearest to `word`: at most a third of its letters (at least
// one) may be wrong; else the only candidate that `word` begins. Empty where
// nothing is near. Of equally near ones the first wins.
std::string Closest(std::string_view word,
                    std::span<const std::string_view> candidates);

// ", did you mean 'x'?" or nothing: the tail of an error message.
std::string DidYouMean(std::string_view word,
                       std::span<const std::string_view> candidates);

}  // namespace sotto
