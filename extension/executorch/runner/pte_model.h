// SPDX-License-Identifier: MIT
// PteModel: a Whisper model exported to an ExecuTorch program, as the straight
// way from sound to text wants it.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "engine/speech_model.h"
#include "phase_clock.h"
#include "pte_program.h"

namespace sotto {

// What has been done since the model was made.
struct PteCounters {
  int windows = 0;             // encoder runs
  int64_t prompt_tokens = 0;   // given to Prefill
  int64_t reused_tokens = 0;   // of these, already in the cache
  int64_t first_steps = 0;     // at position 0: cross K/V are made there
  double first_ms = 0;         // time of these
  std::vector<float> step_ms;  // each other run of text_decoder
  int64_t decoded_tokens = 0;  // given to Step
};

// The methods are encoder(f32|f16|bf16 [1, n_mels, 3000]) -> [1, n_audio_ctx,
// d] and text_decoder(i64 [1, 1], [1, n_audio_ctx, d], i64 [1]) -> [.., V],
// which makes the cross K/V at position 0 and keeps them until the next 0.
// Programs with the cache operators that do not come from Sotto's exporter may
// keep them for ever instead: their text_decoder is loaded anew for each
// window. Numbers come from the methods' shapes, then from the file's
// constants, then from the tokenizer and the files beside it; none is built in.
class PteModel : public SpeechModel {
 public:
  // `tokenizer`: a folder of tokenizer files, one such file, or a ggml or GGUF
  // checkpoint that holds a vocabulary; empty: OpenAI's own, shipped with
  // Sotto. `program` and `clock` must outlive the model. Throws Error naming
  // the file and what of it cannot be.
  PteModel(PteProgram& program, const std::filesystem::path& tokenizer,
           PhaseClock& clock);

  std::span<float> mel() override;
  void Encode() override;
  int n_text_ctx() const override { return n_text_ctx_; }
  int n_audio_ctx() const override { return states_type_.shape[1]; }
  const Tokenizer& tokenizer() const override { return *tokenizer_; }
  const SpecialTokens& special_tokens() const override {
    return special_tokens_;
  }
  int vocab_size() const override { return n_vocab_; }
  // Feeds the prompt token by token, but for what of it stands in the cache
  // since the last prompt of the same window.
  std::span<float> Prefill(std::span<const int> prompt, int sot_index,
                           std::span<float>* sot_logits) override;
  std::span<float> Step(int token) override;

  // One run of text_decoder with these very tensors: logits as f32, valid
  // until the next call. Throws kBadInput naming the input that is missing or
  // of another type or shape.
  std::span<float> RunTextDecoder(std::span<const PteTensor> inputs);

  int n_mels() const { return mel_type_.shape[1]; }
  // What SearchOptions::suppress_tokens should be for this file.
  const std::vector<int>& suppress_tokens() const { return suppress_tokens_; }
  // Facts that the file does not tell and where they were found, one each.
  const std::vector<std::string>& derived() const { return derived_; }
  const PteCounters& counters() const { return counters_; }

 private:
  void ReadMethods();
  void ReadConstants(const std::filesystem::path& tokenizer);
  int TextPositions(const std::filesystem::path& folder);
  void CheckConstant(std::string_view constant, int64_t want,
                     const std::string& origin) const;
  void CheckTokens() const;
  void CheckLanguages() const;
  // Feeds `token` at the end of fed_.
  std::span<float> Feed(int token);

  PteProgram& program_;
  PhaseClock& clock_;
  PteTensorType mel_type_, states_type_;
  int n_text_ctx_ = 0;
  int n_vocab_ = 0;
  bool may_be_stale_ = false;  // cross K/V may outlive their window
  std::shared_ptr<const Tokenizer> tokenizer_;
  SpecialTokens special_tokens_;
  std::vector<int> suppress_tokens_ = {-1};
  std::vector<std::string> derived_;

  std::vector<float> mel_;
  std::vector<std::byte> converted_;  // mel_ as the encoder's type
  std::vector<std::byte> states_;     // as the decoder's type
  std::vector<float> logits_, sot_logits_;
  int sot_index_ = -1;    // of sot_logits_; -1: none kept
  std::vector<int> fed_;  // tokens in the self-attention cache
  PteCounters counters_;
};

}  // namespace sotto
