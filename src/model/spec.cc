// SPDX-License-Identifier: MIT
#include "model/spec.h"

#include "base/error.h"

namespace sotto {
namespace {

// Bounds far above any Whisper (large: 1280 wide, 32 layers) and low enough
// that products of two of them fit 64 bits many times over.
constexpr int kMaxWidth = 1 << 16;
constexpr int kMaxLayers = 512;
constexpr int kMaxPositions = 1 << 20;
constexpr int kMaxVocab = 1 << 22;

void CheckNumber(const ModelSpec& spec, const char* what, int value,
                 int limit) {
  if (value < 1 || value > limit)
    Fail(ErrorCode::kBadInput, "{}: {} is {}, want 1 to {}", spec.name, what,
         value, limit);
}

void CheckHeads(const ModelSpec& spec, const char* side, int heads, int width) {
  if (width % heads != 0)
    Fail(ErrorCode::kBadInput,
         "{}: {} {} attention heads do not divide the width {}", spec.name,
         heads, side, width);
}

}  // namespace

void ModelSpec::Check(bool encoder_only) const {
  CheckNumber(*this, "n_mels", n_mels, 1024);
  CheckNumber(*this, "n_audio_ctx", n_audio_ctx, kMaxPositions);
  CheckNumber(*this, "n_audio_state", n_audio_state, kMaxWidth);
  CheckNumber(*this, "n_audio_heads", n_audio_heads, n_audio_state);
  CheckNumber(*this, "n_audio_layers", n_audio_layers, kMaxLayers);
  CheckNumber(*this, "n_audio_ffn", n_audio_ffn, kMaxWidth * 8);
  CheckHeads(*this, "encoder", n_audio_heads, n_audio_state);
  if (encoder_only) return;
  CheckNumber(*this, "n_text_ctx", n_text_ctx, kMaxPositions);
  CheckNumber(*this, "n_text_state", n_text_state, kMaxWidth);
  CheckNumber(*this, "n_text_heads", n_text_heads, n_text_state);
  CheckNumber(*this, "n_text_layers", n_text_layers, kMaxLayers);
  CheckNumber(*this, "n_text_ffn", n_text_ffn, kMaxWidth * 8);
  CheckNumber(*this, "n_vocab", n_vocab, kMaxVocab);
  CheckHeads(*this, "decoder", n_text_heads, n_text_state);
  if (n_text_state != n_audio_state)
    Fail(ErrorCode::kBadInput,
         "{}: decoder width {} differs from encoder width {}", name,
         n_text_state, n_audio_state);
  for (const auto& [layer, head] : alignment_heads) {
    if (layer < 0 || layer >= n_text_layers || head < 0 || head >= n_text_heads)
      Fail(ErrorCode::kBadInput,
           "{}: alignment head ({}, {}) is outside {} layers of {} heads", name,
           layer, head, n_text_layers, n_text_heads);
  }
}

}  // namespace sotto
