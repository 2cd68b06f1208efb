// SPDX-License-Identifier: MIT
// The four stages of Whisper as graphs. Unfused, f32, without layout: passes
// decide the rest.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "ir/graph.h"
#include "model/spec.h"

namespace sotto {

enum class Stage : uint8_t { kEncoder, kCrossKv, kPrefill, kDecode };
inline constexpr std::array<Stage, 4> kStages = {
    Stage::kEncoder, Stage::kCrossKv, Stage::kPrefill, Stage::kDecode};
// "encoder", "cross_kv", "prefill", "decode".
std::string_view StageName(Stage stage);

// Static shape of a stage's program.
struct StageShape {
  int batch = 1;
  int tokens = 1;      // prefill: prompt length; decode: always 1
  int kv_extent = 0;   // self-attention positions; 0: all of n_text_ctx
  int logit_rows = 1;  // rows of logits per batch row (1, or 2 with no-speech)
  int slots = 1;       // rows of the KV states
  int frames = 3000;   // log-mel frames; encoder positions are (frames+1)/2
  friend bool operator==(const StageShape&, const StageShape&) = default;
};

// Inputs and outputs by name (shapes with B = batch, S = tokens,
// A = encoder positions, d = width, V = vocabulary):
//   encoder   mel f32[B, n_mels, frames]                     -> audio [B,A,d]
//   cross_kv  audio [B,A,d], zero i32[B], slot i32[B]        -> states
//             cross_k.I, cross_v.I [slots, heads, A, head_dim]
//   prefill   tokens i32[B,S], pos i32[B], slot i32[B],
//             rows i32[B,R]                                  -> logits [B,R,V]
//             states self_k.I, self_v.I [slots, heads, n_text_ctx, head_dim]
//   decode    as prefill with S = 1 and no rows              -> logits [B,1,V]
// `audio` is an input of cross_kv under the name it has as encoder output.
ir::Graph BuildStage(const ModelSpec& spec, Stage stage,
                     const StageShape& shape);

}  // namespace sotto
