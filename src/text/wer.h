// SPDX-License-Identifier: MIT
// Word errors: the least edits that turn the reference into the hypothesis.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace sotto {

// Sums over files: add them up, then ask for the rate.
struct WerCounts {
  int words = 0;  // of the reference: hits + deletions + substitutions
  int hits = 0;
  int insertions = 0;
  int deletions = 0;
  int substitutions = 0;

  int errors() const { return insertions + deletions + substitutions; }
  // Errors per word of the reference, 0.05 for 5 %. Without any word: 0, or 1
  // where something was heard.
  double wer() const;
  WerCounts& operator+=(const WerCounts& other);
  bool operator==(const WerCounts&) const = default;
};

// Where several alignments have the least edits, the one jiwer 4 counts.
// Memory: a quarter byte for each pair of words.
WerCounts CountErrors(std::span<const std::string> reference,
                      std::span<const std::string> hypothesis);

// The same for texts, cut at white space. Normalise them first.
WerCounts CountErrors(std::string_view reference, std::string_view hypothesis);

}  // namespace sotto
