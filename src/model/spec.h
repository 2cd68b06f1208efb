// SPDX-License-Identifier: MIT
// ModelSpec: the numbers of one Whisper model, read from its file. Nothing in
// Sotto knows a model size by name.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace sotto {

// Const after loading. Sizes in elements.
struct ModelSpec {
  std::string name;     // file or folder it came from, for messages and reports
  int n_mels = 0;       // 80 or 128
  int n_audio_ctx = 0;  // encoder positions, 1500
  int n_audio_state = 0;  // d_model of the encoder
  int n_audio_heads = 0;
  int n_audio_layers = 0;
  int n_audio_ffn = 0;
  int n_text_ctx = 0;    // decoder positions, 448
  int n_text_state = 0;  // d_model of the decoder; equals n_audio_state
  int n_text_heads = 0;
  int n_text_layers = 0;
  int n_text_ffn = 0;
  int n_vocab = 0;
  // (layer, head) pairs whose cross-attention follows the audio; empty where
  // the file names none.
  std::vector<std::pair<int, int>> alignment_heads;

  // As OpenAI counts: 51865 and more tokens is multilingual.
  bool is_multilingual() const { return n_vocab >= 51865; }
  // 99, or 100 from large-v3 on.
  int n_languages() const {
    return n_vocab - 51765 - (is_multilingual() ? 1 : 0);
  }
  int head_dim() const { return n_text_state / n_text_heads; }

  // Throws kBadInput naming the first number that cannot be: not positive,
  // absurdly large, heads that do not divide the width, an alignment head
  // that does not exist. `encoder_only` leaves the decoder's numbers alone.
  void Check(bool encoder_only = false) const;

  friend bool operator==(const ModelSpec&, const ModelSpec&) = default;
};

}  // namespace sotto
