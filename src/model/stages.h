// SPDX-License-Identifier: MIT
// The four stages of Whisper as graphs. Unfused, f32, without layout: passes
// decide the rest.
#pragma once

#include <array>
#include <cstdint>
#include <string>
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
  // "batch=1 tokens=4 kv=448 rows=1 slots=1 audio=1500" for this stage.
  std::string ToString(Stage stage) const;
};

// Encoder positions of so many log-mel frames: 3000 gives 1500.
constexpr int EncoderPositions(int frames) { return (frames - 1) / 2 + 1; }

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
// prefill and decode also read cross_k.I and cross_v.I. Row (b, s) of tokens
// stands at position pos[b] + s of slot[b]; pos[b] + S is at most the extent.
// Throws Error(kBadInput) where the shape does not suit the model.
ir::Graph BuildStage(const ModelSpec& spec, Stage stage,
                     const StageShape& shape);

// The stage's extra rules behind ir::Verify: exactly the inputs, outputs and
// states above, with these shapes. Holds before and after every pass; element
// types of states are the passes' to choose. Throws Error(kInternal).
void VerifyStage(const ModelSpec& spec, Stage stage, const StageShape& shape,
                 const ir::Graph& graph);

}  // namespace sotto
