// SPDX-License-Identifier: MIT
// SpeechModel: what the straight way from sound to text needs of a Whisper
// model, whoever runs it. WindowModel is Sotto's own engine; a program of
// another runtime is one more.
#pragma once

#include <span>

#include "decode/search.h"
#include "decode/special_tokens.h"
#include "text/tokenizer.h"

namespace sotto {

// One session: used by one thread at a time. What was encoded last is what
// Prefill and Step decode; nothing can decode against an older window.
class SpeechModel : public LogitSource {
 public:
  // Where the next window's log-mel goes: [n_mels][3000]. The same memory at
  // every call.
  virtual std::span<float> mel() = 0;
  // Takes mel() as the window to decode.
  virtual void Encode() = 0;

  // For models whose encoder runs elsewhere than their decoder. Where a window
  // is written that is likely to be encoded next; empty where nothing is gained
  // by that. Not for use while EncodeAhead's window is wanted: it is dropped.
  virtual std::span<float> next_mel() { return {}; }
  // Begins to encode next_mel(); returns at once. Prefill and Step go on with
  // the window that Encode took. The next Encode is spared the work if its
  // mel() is the same bit for bit, so a wrong guess changes no result.
  virtual void EncodeAhead() {}

  // Positions of the decoder, the prompt's included (448).
  virtual int n_text_ctx() const = 0;
  // Positions of the encoder's output for 30 s (1500).
  virtual int n_audio_ctx() const = 0;
  // Throws kInternal for a model made without one.
  virtual const Tokenizer& tokenizer() const = 0;
  virtual const SpecialTokens& special_tokens() const = 0;
};

}  // namespace sotto
