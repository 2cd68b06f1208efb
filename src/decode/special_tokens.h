// SPDX-License-Identifier: MIT
// The ids of one model's special tokens, as plain numbers: the searches know
// tokens, not tokenizers.
#pragma once

#include <vector>

namespace sotto {

// Const after loading. Ids below `eot` are text, ids from `timestamp_begin` on
// are times (one each 30 s / n_audio_ctx). -1: the model has no such token.
struct SpecialTokens {
  int eot = -1;              // <|endoftext|>
  int sot = -1;              // <|startoftranscript|>
  int translate = -1;        // <|translate|>
  int transcribe = -1;       // <|transcribe|>
  int sot_lm = -1;           // <|startoflm|>
  int sot_prev = -1;         // <|startofprev|>
  int no_speech = -1;        // <|nospeech|>, <|nocaptions|> in older files
  int no_timestamps = -1;    // <|notimestamps|>
  int timestamp_begin = -1;  // <|0.00|>
  int n_vocab = 0;           // logits in a row
  // An English-only model has language tokens too but takes none in its
  // prompt.
  bool multilingual = false;
  std::vector<int> language_tokens;  // in the order of the language table
  std::vector<int> blank;            // the tokens of " "
  std::vector<int> non_speech;       // what "-1" suppresses, sorted

  // Throws kBadInput naming the first id that cannot be: outside the
  // vocabulary, missing where every model has it, text after the times.
  void Check() const;
  bool IsTimestamp(int token) const { return token >= timestamp_begin; }
  bool IsText(int token) const { return token < eot; }
};

}  // namespace sotto
