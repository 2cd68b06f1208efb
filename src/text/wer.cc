// SPDX-License-Identifier: MIT
#include "text/wer.h"

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <unordered_map>
#include <vector>

#include "text/utf8.h"

namespace sotto {
namespace {

using Ids = std::vector<int>;

// Two bits for each pair of prefixes (reference i, hypothesis j).
class Steps {
 public:
  Steps(size_t rows, size_t columns)
      : columns_(columns), bits_((rows * columns + 3) / 4) {}
  void Set(size_t i, size_t j, unsigned bits) {
    const size_t at = i * columns_ + j;
    bits_[at / 4] = static_cast<uint8_t>(bits_[at / 4] | bits << at % 4 * 2);
  }
  unsigned Get(size_t i, size_t j) const {
    const size_t at = i * columns_ + j;
    return bits_[at / 4] >> at % 4 * 2 & 3u;
  }

 private:
  size_t columns_;
  std::vector<uint8_t> bits_;
};

// The last word of the reference prefix costs one edit more than without it;
// or it costs one less.
constexpr unsigned kCostsOne = 1;
constexpr unsigned kSavesOne = 2;

// Levenshtein's table, of which only those steps are kept.
Steps Distances(const Ids& reference, const Ids& hypothesis) {
  Steps steps(reference.size() + 1, hypothesis.size() + 1);
  // row[j]: least edits between the first i words and the first j.
  std::vector<int> row(hypothesis.size() + 1);
  std::iota(row.begin(), row.end(), 0);
  for (size_t i = 1; i <= reference.size(); ++i) {
    int diagonal = row[0];
    row[0] = static_cast<int>(i);
    for (size_t j = 1; j <= hypothesis.size(); ++j) {
      const int above = row[j];
      const int same = reference[i - 1] == hypothesis[j - 1] ? 0 : 1;
      row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + same});
      if (row[j] == above + 1) steps.Set(i, j, kCostsOne);
      if (row[j] == above - 1) steps.Set(i, j, kSavesOne);
      diagonal = above;
    }
  }
  return steps;
}

// Walks back from the ends. The order of the choices (deletion, insertion
// where it saves, else both sides at once) is that of RapidFuzz, on which
// jiwer stands; the sum of edits does not depend on it.
WerCounts Align(const Ids& reference, const Ids& hypothesis) {
  const Steps steps = Distances(reference, hypothesis);
  WerCounts counts;
  size_t i = reference.size(), j = hypothesis.size();
  while (i > 0 && j > 0) {
    if (steps.Get(i, j) == kCostsOne) {
      ++counts.deletions;
      --i;
      continue;
    }
    --j;
    if (j > 0 && steps.Get(i, j) == kSavesOne) {
      ++counts.insertions;
      continue;
    }
    --i;
    ++(reference[i] == hypothesis[j] ? counts.hits : counts.substitutions);
  }
  counts.deletions += static_cast<int>(i);
  counts.insertions += static_cast<int>(j);
  return counts;
}

// Drops what both ends share; returns how many words that was.
int TrimShared(std::span<const std::string>& a,
               std::span<const std::string>& b) {
  const auto head = static_cast<size_t>(
      std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first - a.begin());
  a = a.subspan(head);
  b = b.subspan(head);
  const auto tail = static_cast<size_t>(
      std::mismatch(a.rbegin(), a.rend(), b.rbegin(), b.rend()).first -
      a.rbegin());
  a = a.first(a.size() - tail);
  b = b.first(b.size() - tail);
  return static_cast<int>(head + tail);
}

}  // namespace

double WerCounts::wer() const {
  if (words == 0) return insertions > 0 ? 1 : 0;
  return static_cast<double>(errors()) / words;
}

WerCounts& WerCounts::operator+=(const WerCounts& other) {
  words += other.words;
  hits += other.hits;
  insertions += other.insertions;
  deletions += other.deletions;
  substitutions += other.substitutions;
  return *this;
}

WerCounts CountErrors(std::span<const std::string> reference,
                      std::span<const std::string> hypothesis) {
  const auto words = static_cast<int>(reference.size());
  const int shared = TrimShared(reference, hypothesis);
  std::unordered_map<std::string_view, int> ids;
  const auto number = [&ids](std::span<const std::string> text) {
    Ids out;
    for (const std::string& word : text)
      out.push_back(
          ids.emplace(word, static_cast<int>(ids.size())).first->second);
    return out;
  };
  WerCounts counts = Align(number(reference), number(hypothesis));
  counts.hits += shared;
  counts.words = words;
  return counts;
}

WerCounts CountErrors(std::string_view reference, std::string_view hypothesis) {
  const auto words = [](std::string_view text) {
    const auto views = SplitAtSpace(text);
    return std::vector<std::string>(views.begin(), views.end());
  };
  return CountErrors(words(reference), words(hypothesis));
}

}  // namespace sotto
