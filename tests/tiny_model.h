// SPDX-License-Identifier: MIT
// A small Whisper made from a seed, for tests that need weights of every
// shape and none of anybody's. Library sotto_tiny_model.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string_view>

#include "model/checkpoint.h"
#include "model/weights.h"

namespace sotto {

struct TinyOptions {
  uint64_t seed = 1;
  int n_mels = 80;
  int n_audio_ctx = 1500;
  int n_text_ctx = 448;
  int width = 64;  // d_model of both sides
  int heads = 1;
  int audio_layers = 2;
  int text_layers = 2;
  // 51864 English, 51865 multilingual, 51866 as large-v3. Smaller ones get
  // made-up tokens "t0", "t1", ... and suit tests that never decode text.
  int n_vocab = 51864;
  DType dtype = DType::kF32;  // or kF16, kBF16: values are rounded to it
  float deviation = 0.05f;    // of the weights; biases alike
};

// The smallest model that every format can hold: 64 values a row, 300 tokens.
TinyOptions MicroOptions();

// What a reader would have found, under Hugging Face names.
Checkpoint MakeTinyCheckpoint(const TinyOptions& options = {});

// Weights are bell-shaped around 0, layer-norm gains around 1, encoder
// positions are OpenAI's sinusoid. The same seed gives the same bits on every
// machine but for the sinusoid's last digit.
std::shared_ptr<const WeightStore> MakeTinyStore(
    const TinyOptions& options = {});

}  // namespace sotto
