// SPDX-License-Identifier: MIT
#include "text/bpe.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <queue>

#include "base/error.h"
#include "text/utf8.h"

namespace sotto {
namespace {

// White_Space of Unicode, spelt out: \s of PCRE2 holds U+180E besides, which
// the tokenizers Whisper was trained with do not.
#define SOTTO_SPACE                                                        \
  R"(\t-\r \x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f})" \
  R"(\x{205f}\x{3000})"

// GPT-2's split (openai/gpt-2, encoder.py), as Whisper uses it.
constexpr char kSplit[] = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+)"
                          R"(| ?[^)" SOTTO_SPACE R"(\p{L}\p{N}]+)"
                          R"(|[)" SOTTO_SPACE R"(]+(?![^)" SOTTO_SPACE R"(]))"
                          R"(|[)" SOTTO_SPACE R"(]+)";
#undef SOTTO_SPACE

// Multiply and fold, eight bytes at a time; tables here are built once from
// at most 2^20 keys, so it need not withstand chosen keys, only spread.
uint32_t Hash(std::string_view bytes, uint64_t seed) {
  constexpr uint64_t kFactor = 0x9E3779B97F4A7C15u;
  uint64_t h = (seed + bytes.size()) * kFactor;
  size_t i = 0;
  for (; i + 8 <= bytes.size(); i += 8) {
    uint64_t chunk = 0;
    std::memcpy(&chunk, bytes.data() + i, 8);
    h = (h ^ chunk) * kFactor;
    h ^= h >> 29;
  }
  uint64_t rest = 0;
  if (i < bytes.size()) std::memcpy(&rest, bytes.data() + i, bytes.size() - i);
  h = (h ^ rest) * kFactor;
  h ^= h >> 32;
  return static_cast<uint32_t>(h * kFactor >> 32);
}

// A run of a piece's bytes that is one symbol so far; a linked list.
struct Symbol {
  size_t begin = 0;
  size_t size = 0;  // 0 once it was joined to the one before
  int previous = -1;
  int next = -1;
};

// Two neighbours that may be joined. Lowest rank first, then leftmost.
struct Candidate {
  int rank = 0;
  int left = 0;
  int right = 0;
  size_t size = 0;  // of both when it was found; stale where it differs
  bool operator>(const Candidate& other) const {
    return rank != other.rank ? rank > other.rank : left > other.left;
  }
};

}  // namespace

void Bpe::Table::Resize(size_t entries) {
  size_t size = 16;
  while (size < entries * 2) size *= 2;
  slots_.assign(size, Slot());
  mask_ = size - 1;
}

template <typename Same>
int Bpe::Table::Find(uint32_t hash, Same same) const {
  for (size_t i = hash & mask_; slots_[i].index >= 0; i = (i + 1) & mask_)
    if (slots_[i].hash == hash && same(slots_[i].index)) return slots_[i].index;
  return -1;
}

template <typename Same>
void Bpe::Table::Insert(uint32_t hash, int index, Same same) {
  size_t i = hash & mask_;
  for (; slots_[i].index >= 0; i = (i + 1) & mask_)
    if (slots_[i].hash == hash && same(slots_[i].index)) return;  // first wins
  slots_[i] = {hash, index};
}

Bpe::Bpe(const Vocabulary& vocabulary, int end)
    : vocabulary_(vocabulary), split_(kSplit) {
  const int count = std::min(end, vocabulary.size());
  tokens_.Resize(static_cast<size_t>(std::max(count, 0)));
  for (int id = 0; id < count; ++id) {
    const std::string_view bytes = vocabulary.Bytes(id);
    if (bytes.empty()) continue;
    tokens_.Insert(Hash(bytes, 0), id,
                   [&](int other) { return vocabulary.Bytes(other) == bytes; });
  }
  for (int byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    if (Find({&c, 1}) < 0)
      Fail(ErrorCode::kBadInput,
           "{}: no token for the byte {:#04x}, want all "
           "256",
           vocabulary.origin(), byte);
  }
  // A list that makes tokens in the order of their ids says no more than the
  // ids. Then the ids rank, as at OpenAI: the list that Hugging Face published
  // for large-v2 lacks its first line (space, t), so by that list no word with
  // a t would come out as the model was taught it.
  if (!MergesFollowIds()) IndexMerges();
}

bool Bpe::MergesFollowIds() const {
  int last = -1;
  for (const Merge& merge : vocabulary_.merges()) {
    const std::string_view joined = vocabulary_.MergeBytes(merge);
    // Nearly always the next id; that saves looking all of them up.
    const bool next = vocabulary_.Bytes(last + 1) == joined;
    const int id = next ? last + 1 : Find(joined);
    if (id <= last) return false;
    last = id;
  }
  return true;
}

void Bpe::IndexMerges() {
  const auto merges = vocabulary_.merges();
  merges_.Resize(merges.size());
  for (size_t rank = 0; rank < merges.size(); ++rank) {
    const Merge& merge = merges[rank];
    const std::string_view joined = vocabulary_.MergeBytes(merge);
    merges_.Insert(Hash(joined, merge.left_size), static_cast<int>(rank),
                   [&](int other) {
                     const Merge& seen = merges[static_cast<size_t>(other)];
                     return seen.left_size == merge.left_size &&
                            vocabulary_.MergeBytes(seen) == joined;
                   });
  }
  by_id_ = false;
}

int Bpe::Find(std::string_view bytes) const {
  return tokens_.Find(Hash(bytes, 0),
                      [&](int id) { return vocabulary_.Bytes(id) == bytes; });
}

int Bpe::RankOf(std::string_view joined, size_t left_size) const {
  const auto merges = vocabulary_.merges();
  const int token = Find(joined);
  if (token < 0 || by_id_) return token;
  return merges_.Find(Hash(joined, left_size), [&](int rank) {
    const Merge& merge = merges[static_cast<size_t>(rank)];
    return merge.left_size == left_size &&
           vocabulary_.MergeBytes(merge) == joined;
  });
}

void Bpe::EncodePiece(std::string_view piece, std::vector<int>& out) const {
  if (by_id_ || vocabulary_.ignore_merges()) {
    if (const int whole = Find(piece); whole >= 0) return out.push_back(whole);
  }
  std::vector<Symbol> symbols(piece.size());
  const int count = static_cast<int>(piece.size());
  for (int i = 0; i < count; ++i)
    symbols[static_cast<size_t>(i)] = {static_cast<size_t>(i), 1, i - 1,
                                       i + 1 < count ? i + 1 : -1};
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> queue;
  const auto propose = [&](int left, int right) {
    if (left < 0 || right < 0) return;
    const Symbol& a = symbols[static_cast<size_t>(left)];
    const Symbol& b = symbols[static_cast<size_t>(right)];
    const size_t size = a.size + b.size;
    const int rank = RankOf(piece.substr(a.begin, size), a.size);
    if (rank >= 0) queue.push({rank, left, right, size});
  };
  for (int i = 0; i + 1 < count; ++i) propose(i, i + 1);
  while (!queue.empty()) {
    const Candidate best = queue.top();
    queue.pop();
    Symbol& a = symbols[static_cast<size_t>(best.left)];
    Symbol& b = symbols[static_cast<size_t>(best.right)];
    // note: sizes only grow, so an unchanged sum means an unchanged pair.
    if (a.size == 0 || b.size == 0 || a.size + b.size != best.size) continue;
    a.size = best.size;
    b.size = 0;
    a.next = b.next;
    if (b.next >= 0) symbols[static_cast<size_t>(b.next)].previous = best.left;
    propose(a.previous, best.left);
    propose(best.left, a.next);
  }
  for (int i = count == 0 ? -1 : 0; i >= 0;) {
    const Symbol& symbol = symbols[static_cast<size_t>(i)];
    out.push_back(Find(piece.substr(symbol.begin, symbol.size)));
    i = symbol.next;
  }
}

std::vector<int> Bpe::Encode(std::string_view text) const {
  std::string repaired;
  if (!IsValidUtf8(text)) text = repaired = ReplaceInvalidUtf8(text);
  std::vector<int> ids;
  split_.ForEach(
      text, [&](const RegexGroups& groups) { EncodePiece(groups[0], ids); });
  return ids;
}

}  // namespace sotto
