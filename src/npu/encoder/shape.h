// SPDX-License-Identifier: MIT
// The encoder as the NPU sees it: matrix products over tiles of 64 x 64.
//
// Every activation is [rows/64][columns/64] tiles of [64/4][64/8][4][8]
// elements, so that a tile is contiguous wherever it lies and what one phase
// writes the next one reads. Rows are padded to whole tiles; keys past
// `positions` are masked, nothing else needs care.
#pragma once

#include <cstdint>

#include "base/error.h"
#include "model/spec.h"
#include "npu/target.h"

namespace sotto::npu {

inline constexpr int kTile = 64;
inline constexpr int kTileElements = kTile * kTile;

// What moves between phases: bf16 everywhere, or whole numbers into every
// product and bf16 for the residual stream and V. After a LayerNorm those are
// int8, as are weights, Q and K; elsewhere codes of 12 bits in int16: a tile
// has the same slot whatever it holds.
enum class EncoderPrecision : uint8_t { kBF16, kInt8 };

// int8: of the stem's input. Whisper's log-mel ends 2 below its maximum, which
// is 1.5 for a full scale (OpenAI's audio.py).
inline constexpr float kMelStep = 2.0F / 2047;

struct EncoderShape {
  int n_mels = 80;
  int frames = 3000;  // of log-mel
  int width = 512;
  int heads = 8;
  int ffn = 2048;
  int layers = 6;

  int positions() const { return frames / 2; }
  int row_tiles() const { return (positions() + kTile - 1) / kTile; }
  int rows() const { return row_tiles() * kTile; }
  int width_tiles() const { return width / kTile; }
  int ffn_tiles() const { return ffn / kTile; }
  // A row of the stem's input: five frames, marks for the first row, zeros.
  int stem_columns() const {
    return (5 * n_mels + 1 + kTile - 1) / kTile * kTile;
  }
  int stem_tiles() const { return stem_columns() / kTile; }
  // int8 needs as many marks as there is room for: none can be larger than the
  // largest input.
  int marks(bool int8) const { return int8 ? stem_columns() - 5 * n_mels : 1; }

  // Throws kUnsupported naming the size that does not fit the tiles.
  void Check() const {
    if (heads < 1 || width != heads * kTile)
      Fail(ErrorCode::kUnsupported,
           "npu: {} heads in a width of {}, want heads of {}", heads, width,
           kTile);
    if (ffn % kTile != 0)
      Fail(ErrorCode::kUnsupported,
           "npu: a feed-forward width of {} is no multiple of {}", ffn, kTile);
    if (frames < 2 || frames % 2 != 0)
      Fail(ErrorCode::kUnsupported, "npu: {} frames, want an even number",
           frames);
  }
  friend bool operator==(const EncoderShape&, const EncoderShape&) = default;
};

inline EncoderShape EncoderShapeOf(const ModelSpec& spec) {
  return {spec.n_mels,        2 * spec.n_audio_ctx, spec.n_audio_state,
          spec.n_audio_heads, spec.n_audio_ffn,     spec.n_audio_layers};
}

}  // namespace sotto::npu
