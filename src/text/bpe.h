// SPDX-License-Identifier: MIT
// Byte-level BPE as GPT-2: text to token ids.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "text/regex.h"
#include "text/vocabulary.h"

namespace sotto {

// Const after construction; any thread. Refers to the vocabulary it was made
// of, which must outlive it and stay where it is.
class Bpe {
 public:
  // Ids from `end` on (special tokens) are never produced. Throws kBadInput
  // where a byte has no token of its own: such a list cannot write every text.
  Bpe(const Vocabulary& vocabulary, int end);

  // Splits as GPT-2's pattern does and merges within the pieces. Bytes that
  // are no UTF-8 are read as U+FFFD.
  std::vector<int> Encode(std::string_view text) const;

  // The token with exactly these bytes, or -1.
  int Find(std::string_view bytes) const;

 private:
  // One slot of an open-addressed table; index -1 is free.
  struct Slot {
    uint32_t hash = 0;
    int32_t index = -1;
  };
  class Table {
   public:
    void Resize(size_t entries);
    // The index stored under `hash` for which `same` holds, else -1.
    template <typename Same>
    int Find(uint32_t hash, Same same) const;
    template <typename Same>
    void Insert(uint32_t hash, int index, Same same);

   private:
    std::vector<Slot> slots_;
    size_t mask_ = 0;
  };

  bool MergesFollowIds() const;
  void IndexMerges();
  void EncodePiece(std::string_view piece, std::vector<int>& out) const;
  // Order of joining two neighbours that together are `joined`; -1 where they
  // never join.
  int RankOf(std::string_view joined, size_t left_size) const;

  const Vocabulary& vocabulary_;
  Table tokens_;
  Table merges_;       // only where they rank otherwise than the ids
  bool by_id_ = true;  // the id of what a merge makes is its rank
  Regex split_;
};

}  // namespace sotto
