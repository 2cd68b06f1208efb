// SPDX-License-Identifier: MIT
#include "decode/special_tokens.h"

#include "base/error.h"

namespace sotto {
namespace {

void CheckId(const char* name, int token, int lowest, int n_vocab) {
  if (token < lowest || token >= n_vocab)
    Fail(ErrorCode::kBadInput, "tokenizer: {} is token {}, want {} to {}", name,
         token, lowest, n_vocab - 1);
}

}  // namespace

void SpecialTokens::Check() const {
  CheckId("<|endoftext|>", eot, 0, n_vocab);
  CheckId("<|startoftranscript|>", sot, 0, n_vocab);
  CheckId("<|0.00|>", timestamp_begin, eot + 1, n_vocab);
  CheckId("<|translate|>", translate, -1, n_vocab);
  CheckId("<|transcribe|>", transcribe, -1, n_vocab);
  CheckId("<|startoflm|>", sot_lm, -1, n_vocab);
  CheckId("<|startofprev|>", sot_prev, -1, n_vocab);
  CheckId("<|nospeech|>", no_speech, -1, n_vocab);
  CheckId("<|notimestamps|>", no_timestamps, -1, n_vocab);
  for (const int token : language_tokens)
    CheckId("a language", token, 0, n_vocab);
  for (const int token : blank) CheckId("' '", token, 0, n_vocab);
  for (const int token : non_speech)
    CheckId("a non-speech symbol", token, 0, n_vocab);
}

}  // namespace sotto
