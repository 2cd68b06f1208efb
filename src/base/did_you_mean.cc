// SPDX-License-Identifier: MIT
#include "base/did_you_mean.h"

#include <algorithm>
#include <vector>

namespace sotto {
namespace {

char Fold(char c) {
  if (c == '_') return '-';
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool Begins(std::string_view text, std::string_view start) {
  return text.size() > start.size() &&
         std::equal(start.begin(), start.end(), text.begin(),
                    [](char a, char b) { return Fold(a) == Fold(b); });
}

}  // namespace

size_t EditDistance(std::string_view a, std::string_view b) {
  // Three rows of the usual table: a swap looks two rows back.
  std::vector<size_t> before(b.size() + 1);
  std::vector<size_t> above(b.size() + 1);
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    std::swap(before, above);
    std::swap(above, row);
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t cost = Fold(a[i - 1]) == Fold(b[j - 1]) ? 0 : 1;
      row[j] = std::min({above[j] + 1, row[j - 1] + 1, above[j - 1] + cost});
      if (i > 1 && j > 1 && Fold(a[i - 1]) == Fold(b[j - 2]) &&
          Fold(a[i - 2]) == Fold(b[j - 1]))
        row[j] = std::min(row[j], before[j - 2] + 1);
    }
  }
  return row[b.size()];
}

std::string Closest(std::string_view word,
                    std::span<const std::string_view> candidates) {
  // A word longer than any name of ours is no slip of the pen, and the table
  // grows with its square.
  if (word.empty() || word.size() > 256) return "";
  const size_t allowed = std::max<size_t>(1, word.size() / 3);
  std::string_view best;
  size_t best_distance = allowed + 1;
  for (const std::string_view candidate : candidates) {
    const size_t distance = EditDistance(word, candidate);
    // One letter is near every one-letter name; that is no hint.
    if (distance >= best_distance || distance >= candidate.size()) continue;
    best = candidate;
    best_distance = distance;
  }
  if (!best.empty()) return std::string(best);
  for (const std::string_view candidate : candidates) {
    if (word.size() < 3 || !Begins(candidate, word)) continue;
    if (!best.empty()) return "";
    best = candidate;
  }
  return std::string(best);
}

std::string DidYouMean(std::string_view word,
                       std::span<const std::string_view> candidates) {
  const std::string closest = Closest(word, candidates);
  return closest.empty() ? "" : ", did you mean '" + closest + "'?";
}

}  // namespace sotto
