// SPDX-License-Identifier: MIT
// From the tokens of one window to segments, and to where the next window
// starts. As the loop of OpenAI's transcribe.py.
#pragma once

#include <vector>

#include "audio/log_mel.h"
#include "decode/search.h"
#include "decode/special_tokens.h"
#include "decode/text_of.h"
#include "text/transcript.h"

namespace sotto {

inline constexpr double kWindowSeconds = 30.0;
inline constexpr int kFramesPerSecond = 100;  // log-mel frames

// A stretch of sound that is decoded at once, in frames of the file. `frames`
// is at most kWindowFrames; the encoder's input is filled up to that.
struct Window {
  int seek = 0;
  int frames = 0;
  double start() const { return seek / double{kFramesPerSecond}; }  // seconds
  friend bool operator==(const Window&, const Window&) = default;
};

struct WindowSegments {
  // Ids count from 0 in the window; words are empty.
  std::vector<Segment> segments;
  int next_seek = 0;
  // The window ends with one timestamp: no speech follows it.
  bool single_timestamp_ending = false;
};

// Cuts at pairs of timestamps; tokens after the last pair are left to the next
// window, which starts at that pair. Without a pair all tokens are one segment
// up to the last timestamp, or to the window's end. `n_audio_ctx`: positions
// of the encoder, a divisor of kWindowFrames.
// Differs from OpenAI's loop only for what a search without timestamp rules
// may write: a segment that starts with text starts with its window (there: at
// a time below 0), and next_seek is always above window.seek (there: two
// <|0.00|> are decoded for ever).
WindowSegments SplitSegments(const Hypothesis& result, const Window& window,
                             const SpecialTokens& tokens, const TextOf& text_of,
                             int n_audio_ctx);

// Empties the text, tokens and words of segments that last no time or hold
// white space only. They stay in the list.
void ClearEmptySegments(std::vector<Segment>* segments);

}  // namespace sotto
